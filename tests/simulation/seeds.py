"""Every violation ever found, by its seed: what it was."""

FOUND = {
    19: "an owner that was slow to take over looked for output after its successor had written some, and gave up for good",
}
