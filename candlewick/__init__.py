"""candlewick"""
