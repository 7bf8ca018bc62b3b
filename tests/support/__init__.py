"""What several test modules share: small networks, models, tables and the reading of fixtures."""
