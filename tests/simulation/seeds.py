"""Every violation ever found, by its seed: what it was."""

FOUND = {
    19: "a slow owner looked for output after its successor had written some, and gave up for good",
}
