"""Where things are: degrees <-> metres, the grid, and polygons. The only room that knows degrees.

Positions travel as WGS84 ``lon``/``lat`` columns; every distance in a model is in metres on a local plane. The plane
is an equirectangular projection about a reference point with the ellipsoid's own radii of curvature there (Snyder,
*Map Projections - A Working Manual*, USGS Professional Paper 1395, 1987, eq. 4-18 to 4-20): within 30 km of the reference
point lengths are right to about 0.3 %. An agency that needs survey accuracy names a projected CRS ("EPSG:26971") instead.
"""

from workbench.geo.grid import Grid
from workbench.geo.hexagons import Hexagons
from workbench.geo.join import Areas, locate, locate_all
from workbench.geo.plane import Floats, Ints, Plane, positions
from workbench.geo.polygon import Polygon
from workbench.geo.tiling import Tiling, from_squares

__all__ = ["Areas", "Floats", "Grid", "Hexagons", "Ints", "Plane", "Polygon", "Tiling", "from_squares", "locate", "locate_all", "positions"]
