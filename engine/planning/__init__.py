"""Plans of a training: flags that fit data and machine, how long it will take, when it is enough."""
