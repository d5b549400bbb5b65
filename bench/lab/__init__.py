"""What bench/run and bench/gate are made of: processes, measurements, tables, plots."""
