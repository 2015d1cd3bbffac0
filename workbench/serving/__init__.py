"""The server of frames: it owns the files under a service account and answers the questions of other users' notebook kernels (Arrow Flight).

A kernel opens ``wb.open_workbench("grpc://...")`` with a token; its questions run here, through the same gate and into the same audit,
and Arrow frames go back. ``workbench serve --frames`` starts it; docs/server.md tells how to deploy it, what it stops and what not.
"""

from workbench.serving.server import Frames, listen
from workbench.serving.settings import Settings

__all__ = ["Frames", "Settings", "listen"]
