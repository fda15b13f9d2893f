public import ArgumentParser
public import Checkpoints

extension WeightQuantization.AWQRules: ExpressibleByArgument {}
