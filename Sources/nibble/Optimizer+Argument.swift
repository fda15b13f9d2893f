public import ArgumentParser
public import Checkpoints

extension OptimizerConversion.Target: ExpressibleByArgument {}
