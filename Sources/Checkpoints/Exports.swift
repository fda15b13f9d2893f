// The rooms below are part of the library's vocabulary: one import gives them all.
@_exported public import Codecs
@_exported public import Containers
@_exported public import Kernels
@_exported public import Models
@_exported public import Quantizers
@_exported public import TensorCore
@_exported public import Tokenizers
