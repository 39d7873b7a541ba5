"""What the engines share: a pure core in offset order, one transaction for each input partition, state in a topic."""
