"""``crismis simulate``: write a simulated exposure with its truth."""

import json
from pathlib import Path
from typing import Annotated

import typer

from .app import app

__all__ = ["simulate"]

_SCENES = ("dark", "field", "spectrum", "planet", "corona")


@app.command()
def simulate(
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FITS", help="File to write.")],
    detector: Annotated[str, typer.Option(help="Name of a detector.")] = "HST/ACS/WFC",
    exposure: Annotated[float, typer.Option(help="Exposure time in seconds.")] = 500.0,
    particles: Annotated[
        str, typer.Option(help="Kind or mixture; several as kind=share,kind=share.")
    ] = "orbit",
    rate: Annotated[
        float | None, typer.Option(help="Events per cm2 and second; the detector's by default.")
    ] = None,
    scene: Annotated[str, typer.Option(help=f"One of {', '.join(_SCENES)}.")] = "dark",
    fwhm: Annotated[float, typer.Option(help="Width of stars in pixels (scene field).")] = 2.2,
    shape: Annotated[
        tuple[int, int] | None, typer.Option(help="Rows and columns; the detector's by default.")
    ] = None,
    pitch: Annotated[
        float | None, typer.Option(help="Pixel pitch in micrometres, instead of the detector's.")
    ] = None,
    thickness: Annotated[
        float | None, typer.Option(help="Thickness in micrometres, instead of the detector's.")
    ] = None,
    diffusion: Annotated[
        float | None, typer.Option(help="Width of clouds from the far side in micrometres.")
    ] = None,
    gain: Annotated[float | None, typer.Option(help="Electrons per adu.")] = None,
    readnoise: Annotated[float | None, typer.Option(help="Electrons.")] = None,
    unit: Annotated[str, typer.Option(help="adu or electron.")] = "adu",
    seed: Annotated[int | None, typer.Option(help="Seed of all randomness.")] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace an existing file.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
):
    """Simulate an exposure whose truth is known, and write it as FITS.

    Beside the image the file holds the electrons that particles left in each pixel, a table
    of the events, and each event's own pixels.
    """
    import numpy as np

    from ..detectors import get_detector
    from ..simulate import simulate_exposure

    if output.exists() and not overwrite:
        raise typer.BadParameter(f"{output} exists; give --overwrite to replace it")
    changes = {"pitch": pitch, "thickness": thickness}
    try:
        known = get_detector(detector).evolve(**{k: v for k, v in changes.items() if v is not None})
        image = simulate_exposure(
            known,
            exposure,
            scene=_scene(scene, fwhm),
            particles=_particles(particles),
            rate=rate,
            seed=seed,
            shape=shape,
            diffusion=diffusion,
            gain=gain,
            readnoise=readnoise,
            unit=unit,
        )
    except (KeyError, ValueError) as error:
        raise typer.BadParameter(str(error.args[0])) from None
    image.write(output, overwrite=overwrite)
    events = image.truth["events"]
    names, counts = np.unique(events["category"], return_counts=True)
    summary = {
        "file": str(output),
        "shape": list(image.shape),
        "events": len(events),
        "hit_pixels": int((image.truth["deposit"] > 0).sum()),
        "categories": {str(n): int(c) for n, c in zip(names, counts, strict=True)},
    }
    if as_json:
        typer.echo(json.dumps(summary))
        return
    found = ", ".join(f"{count} {name}" for name, count in summary["categories"].items())
    typer.echo(f"{output}: {image.shape[0]} x {image.shape[1]} pixels, {len(events)} events")
    if found:
        typer.echo(f"  {found}")


def _particles(text):
    if "=" not in text:
        return text if "," not in text else text.split(",")
    shares = {}
    for part in text.split(","):
        name, _, share = part.partition("=")
        try:
            shares[name.strip()] = float(share)
        except ValueError:
            raise ValueError(f"the share of {name!r} must be a number, got {share!r}") from None
    return shares


def _scene(name, fwhm):
    from ..simulate import scenes

    if name not in _SCENES:
        raise ValueError(f"unknown scene {name!r}; known are {', '.join(_SCENES)}")
    if name == "field":
        psf = scenes.Psf.moffat(fwhm)
        return lambda shape, rng: scenes.random_field(shape, rng, psf=psf)
    makers = {"spectrum": scenes.long_slit, "planet": scenes.planet, "corona": scenes.corona}
    return makers.get(name)
