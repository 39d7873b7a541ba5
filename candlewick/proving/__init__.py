"""An exchange proved from where it can be reached: a feed for a short time, with a forced reconnect, then compared."""
