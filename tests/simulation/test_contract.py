"""The simulated cluster keeps to the contract that tests/faults/test_simulated_cluster.py holds the real Kafka to."""

import time
from collections.abc import Callable
from random import Random

import pytest
from broker import Broker
from clients import Cluster
from contract import SCRIPTS, Script
from loop import SimulatedLoop
from membership import Group
from network import Faults, Network
from stand_in import standing_in

from runtime.kafka import TopicPartition
from runtime.settings import load_settings

PARTITIONS = 4


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.__name__)
def test_the_simulated_cluster_is_as_the_real_one(script: Script) -> None:
    for seed in range(10):
        run_in_simulation(script, seed)


def run_in_simulation(script: Script, seed: int) -> None:
    settings = load_settings(kafka="simulated:9092", partitions=PARTITIONS)
    loop = SimulatedLoop(Random(seed), 50_000)
    network = Network(loop, Random(seed), Faults())

    def later(at_least_s: float, at_most_s: float | None, callback: Callable[..., None], *arguments: object) -> None:
        network.later(at_least_s + (at_most_s or 0.001), callback, *arguments)

    trades = settings.topics.trades
    broker = Broker([trades], PARTITIONS, later, lambda: int(loop.time() * 1000), lambda *_: None)
    group = Group(network, [TopicPartition(trades, number) for number in range(PARTITIONS)], lambda *_: None)
    with standing_in(Cluster(network, broker, group), time):
        try:
            context = loop.process("one").context()
            loop.run_until_complete(loop.create_task(script(settings), context=context))
        finally:
            network.over = True
            loop.bury()
