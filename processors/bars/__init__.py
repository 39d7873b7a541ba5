"""The bar engine: `md.trades.v1` in, bars of ticks, volume and dollars in `md.bars.v1` out, exactly once."""
