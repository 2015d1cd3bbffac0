"""Models of pursuit: how long drives take on the street network, and where somebody who left can be."""
