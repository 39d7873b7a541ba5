"""A server that speaks the exchanges' protocols, with faults on request."""
