"""What the verifier knows of the exchanges that the simulator speaks for."""

from candlewick.pipeline.simulator import simulated_hosts
from candlewick.verify.spoken import SPOKEN
from producers.exchanges import exchange_named
from producers.simulator.faults import FaultPlan, Faults
from producers.simulator.protocols.table import protocols_of
from producers.simulator.venue import Venue
from runtime.settings import load_settings


def test_it_knows_every_exchange_that_the_simulator_speaks_for() -> None:
    venue = Venue([], FaultPlan(Faults(), 1), seed=1, now=lambda: 0)
    assert {name for protocol in protocols_of(venue) for name in protocol.names} == SPOKEN.keys()


def test_keys_and_what_ids_prove_are_those_of_the_adapters() -> None:
    for name, spoken in SPOKEN.items():
        adapter = exchange_named(name, load_settings())
        assert (adapter.name, adapter.ids_prove) == (spoken.key, spoken.best == "complete"), name


def test_every_exchange_is_led_to_the_simulator() -> None:
    hosts = {name.removeprefix("CANDLEWICK_").lower(): url for name, url in simulated_hosts("http://x:1").items()}
    settings = load_settings(**hosts)
    for name in SPOKEN:
        adapter = exchange_named(name, settings)
        assert (adapter.ws_url, adapter.rest_url) == ("ws://x:1", "http://x:1"), name
