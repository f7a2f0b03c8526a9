"""A phase vocoder whose rate has a gradient."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_OVERLAP = 4


def stretched(waveform: Tensor, rate: Tensor, samples: int, frame: int) -> Tensor:
    """Clips that are played faster or slower at their pitch, shape (batch, ``samples``).

    The phase vocoder of Flanagan and Golden (1966) as Dolson (1986) describes it: magnitudes are
    read between frames, phases go on as fast as they did at the same place of the clip. Behind the
    end of a clip there is silence. The gradient in the rate is that of the magnitudes; phases are
    taken as they are, for a steady tone does not change them. Bins of one tone may drift apart where
    it begins, so that it gets weaker by up to 1 dB: the sound of phase vocoders.

    Args:
        waveform: Clips, shape (batch, time).
        rate: Speed of each clip, shape (batch, 1), in double precision; 1 gives the clip back.
        samples: Length of the result.
        frame: Length of a frame in samples; a power of 2.
    """
    window, hop = torch.hann_window(frame).to(waveform), frame // _OVERLAP
    # Every frame that touches the clip is needed to give its end back.
    longer = F.pad(waveform, (0, frame))
    spectrum = torch.stft(
        longer, frame, hop, window=window, pad_mode="constant", return_complex=True
    )
    place = torch.arange(samples // hop + 1, device=rate.device) * rate
    before = place.floor().clamp_max(spectrum.shape[-1]).long()
    share = (place - before).clamp(0, 1).to(waveform.dtype)[:, None]
    # Two frames of silence, so that there is always a next one.
    size, phase = F.pad(spectrum.abs(), (0, 2)), F.pad(spectrum.angle(), (0, 2)).double()
    here, after = _frames(size, before), _frames(size, before + 1)
    steps = _frames(phase.diff(dim=-1), before)[..., :-1]
    # Sums of many angles need double precision to keep their fractions of a turn.
    phase = torch.cat([phase[..., :1], phase[..., :1] + steps.cumsum(-1)], -1)
    turned = phase.remainder(2 * torch.pi).to(waveform.dtype)
    found = torch.polar(here + share * (after - here), turned)
    return torch.istft(found, frame, hop, window=window, length=samples)


def _frames(values: Tensor, index: Tensor) -> Tensor:
    """Frames of each clip by number: (batch, bins, frames) and (batch, wanted)."""
    return values.gather(-1, index[:, None].expand(-1, values.shape[1], -1))
