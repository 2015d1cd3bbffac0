"""What sources are written with: expressions over raw columns, the functions behind them, tables of codes, and the language of mapping files."""
