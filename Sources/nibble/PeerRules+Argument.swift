public import ArgumentParser
public import Checkpoints

extension PeerRules: ExpressibleByArgument {}
