"""Commands on maps, shapes and model files that are functions as they are: here they show nothing unless asked."""

from unet.api.calling import checked, quiet
from unet.commands.convert import convert as _convert
from unet.commands.evaluate_shapes import evaluate_shapes as _evaluate_shapes
from unet.commands.export import ExportResult
from unet.commands.export import export_model as _export_model
from unet.commands.map_ import map_sheet as _map_sheet
from unet.commands.tune_shapes import tune_shapes as _tune_shapes
from unet.commands.vectorize import vectorize as _vectorize

convert = checked()(_convert)
evaluate_shapes = quiet(_evaluate_shapes)
export_model = quiet(_export_model)
map_sheet = quiet(_map_sheet)
tune_shapes = quiet(_tune_shapes)
vectorize = quiet(_vectorize)

__all__ = ["ExportResult", "convert", "evaluate_shapes", "export_model", "map_sheet", "tune_shapes", "vectorize"]
