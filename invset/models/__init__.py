"""What turns a code into numbers: networks, generators, encoders, and the units that are read."""
