"""Live feeds: one exchange's symbols, from its connections and its history to Kafka."""
