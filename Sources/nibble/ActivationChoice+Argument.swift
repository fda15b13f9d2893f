public import ArgumentParser
public import Checkpoints

extension ActivationChoice: ExpressibleByArgument {}
