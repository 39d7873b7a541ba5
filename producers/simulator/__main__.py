"""`python -m producers.simulator`: the simulator with its default settings and those of `CANDLEWICK_*`."""

from producers.simulator.server import simulate
from producers.simulator.settings import SimulatorSettings
from runtime.lifecycle import run
from runtime.settings import load_settings
from runtime.telemetry import configure_logs

if __name__ == "__main__":
    configure_logs(load_settings())
    run(lambda stop: simulate(SimulatorSettings(), stop))
