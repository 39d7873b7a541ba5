"""Partitions: the same as Java's and aiokafka's."""

import pytest
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.partitioner import murmur2 as aiokafka_murmur2
from hypothesis import given
from hypothesis import strategies as st

from market.partition import murmur2, partition_of


@pytest.mark.parametrize(
    ("data", "signed"),
    [  # the vectors of Kafka's own UtilsTest.testMurmur2
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_murmur2_gives_what_java_gives(data: bytes, signed: int) -> None:
    assert murmur2(data) == signed % (1 << 32)


@given(st.binary(max_size=40), st.integers(1, 1000))
def test_partitions_are_those_of_aiokafka(key: bytes, partitions: int) -> None:
    assert murmur2(key) == aiokafka_murmur2(key) % (1 << 32)
    every = list(range(partitions))
    assert partition_of(key, partitions) == DefaultPartitioner()(key, every, every)
