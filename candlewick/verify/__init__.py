"""The verifier: compares the log and the stores with the simulator's own record of what it sent.

It shares no code with what it verifies: records are read as plain JSON, amounts as whole numbers, each store by raw
queries of a plain client. So a mistake in the codec, the engine or a sink cannot hide here. What it has from the
pipeline are settings, topic names and the reading of a Kafka topic to its end (`tests/unit/test_house.py`).
"""
