"""What stands beside the samples: units, rates, projectors, filters of the recorder."""

import sys
from pathlib import Path

import mne
import numpy as np
import pybv
import pytest
from mne.utils import check_version

import mdjpt_hf.modeling.raw_mdjpt as raw_mdjpt
import mdjpt_hf.modeling.stored_mdjpt as stored
from mdjpt_hf.errors import MontageError, SamplingRateError, UnitError
from mdjpt_hf.modeling.raw_mdjpt import read_raw

sys.path.insert(0, str(Path(__file__).parents[1]))
from fabricated_edf import paused, write_edf  # noqa: E402

NAMES = ["Fp1", "Fp2", "F3", "F4", "C3", "C4", "P3", "P4", "O1", "O2"]

#: All that MNE keeps in `info`, and whether it reaches the signal here. A field that MNE adds must be thought about.
FIELDS = {
    **dict.fromkeys(["bads", "ch_names", "chs", "highpass", "lowpass", "nchan", "projs", "sfreq"], True),
    **dict.fromkeys(["comps", "proc_history", "maxshield", "cross_talk", "fine_calibration", "gantry_angle"], False),
    **dict.fromkeys(["custom_ref_applied", "dig", "dev_head_t", "ctf_head_t", "dev_ctf_t", "mri_head_t"], False),
    **dict.fromkeys(["acq_pars", "acq_stim", "command_line", "description", "device_info", "events"], False),
    **dict.fromkeys(["experimenter", "file_id", "helium_info", "hpi_meas", "hpi_results", "hpi_subsystem"], False),
    **dict.fromkeys(["kit_system_id", "line_freq", "meas_date", "meas_file", "meas_id", "mri_file", "mri_id"], False),
    **dict.fromkeys(["proj_id", "proj_name", "subject_info", "temp", "utc_offset", "working_dir"], False),
    "xplotter_layout": False,
}


def noise(seconds=20, rate=250, channels=10, seed=0):
    return np.random.default_rng(seed).normal(0, 12, (channels, seconds * rate))


def raw_of(signal, names=NAMES, rate=250):
    return mne.io.RawArray(signal * 1e-6, mne.create_info(list(names), rate, "eeg"), verbose="ERROR")


def opened(path, **arguments):
    return mne.io.read_raw(path, verbose="ERROR", **arguments)


@pytest.mark.skipif(check_version("mne", "1.13") is False, reason="the list is that of MNE 1.13")
def test_everything_that_mne_keeps_is_on_the_list():
    assert set(FIELDS) == set(mne.Info._attributes)
    assert sorted(name for name, used in FIELDS.items() if used) == sorted(stored.USED_FIELDS)
    assert all(f"`{name}`" in stored.__doc__ or f'["{name}"]' in stored.__doc__ for name in ("projs", "bads", "chs"))


@pytest.mark.parametrize(
    ("text", "microvolts"),
    [
        *[(text, 1.0) for text in ("uV", "\u00b5V", "\u03bcV", "\x83\xcaV", "UV", "microV", "MicroVolt", "uVolts")],
        *[("mV", 1e3), ("nV", 1e-3), ("nanovolt", 1e-3), ("V", 1e6), ("Volt", 1e6), (" u V ", 1.0)],
        *[(text, None) for text in ("", "%", "Ohm", "uV/s", "degC", "n/a", "dB")],
    ],
)
def test_words_for_units(text, microvolts):
    assert stored.microvolts_of(text) == microvolts


@pytest.mark.parametrize("suffix", [".edf", ".bdf"])
@pytest.mark.parametrize("unit", ["nV", "UV", "microV", "\x83\xcaV", "mV"])
def test_units_that_mne_does_not_scale(tmp_path, suffix, unit):
    """The numbers are the same; their meaning differs by channel."""
    signal, factor = noise(), stored.microvolts_of(unit)
    units = [unit if k % 2 else "uV" for k in range(10)]
    raw = opened(write_edf(tmp_path / f"x{suffix}", signal, NAMES, units=units))
    recording = read_raw(raw)
    wanted = signal * np.where(np.arange(10) % 2, factor, 1.0)[:, None]
    np.testing.assert_allclose(recording.signal, wanted, atol=0.02 * max(factor, 1), rtol=1e-3)
    assert any("takes for volts" in note for note in recording.notes) == (unit in ("nV", "UV", "microV"))


def test_a_unit_that_some_channels_lack_is_refused_by_name(tmp_path):
    for wrong in ("", "Ohm"):
        units = ["uV"] * 8 + [wrong] * 2
        raw = opened(write_edf(tmp_path / "x.edf", noise(), NAMES, units=units))
        with pytest.raises(UnitError, match=rf"2 channels have no unit.*O1 \({wrong or 'none'}\), O2") as error:
            read_raw(raw)
        assert "state the unit" in error.value.remedy
        np.testing.assert_allclose(read_raw(raw, "uV").signal, noise(), atol=0.02)
        dropped = write_edf(tmp_path / "y.edf", noise(), [*NAMES[:8], "Resp", "Temp"], units=units)
        assert read_raw(opened(dropped)).ch_names == NAMES[:8]


@pytest.mark.parametrize("header", ["mV", "uV", "", "nV"])
def test_a_stated_unit_is_that_of_the_numbers_in_the_file(tmp_path, header):
    raw = opened(write_edf(tmp_path / "x.edf", noise(), NAMES, units=header))
    np.testing.assert_allclose(read_raw(raw, "uV").signal, noise(), atol=0.02)


def test_units_of_brainvision(tmp_path):
    with pytest.warns(UserWarning, match="unsupported voltage units"):
        pybv.write_brainvision(
            data=noise() * 1e-6, sfreq=250, ch_names=NAMES, fname_base="x", folder_out=str(tmp_path), unit="nV"
        )
    np.testing.assert_allclose(read_raw(opened(tmp_path / "x.vhdr")).signal, noise(), atol=1e-3)
    header = tmp_path / "x.vhdr"
    header.write_text(header.read_text(encoding="utf-8").replace(",nV", ",nanoV"), encoding="utf-8")
    recording = read_raw(mne.io.read_raw_brainvision(header, misc=[], verbose="ERROR"))
    np.testing.assert_allclose(recording.signal, noise(), atol=1e-3)
    assert "nanoV" in " ".join(recording.notes)


def test_multiples_of_volts_and_other_units_in_fif():
    raw = raw_of(noise() * 1e6)
    for channel in raw.info["chs"]:
        channel["unit_mul"] = -6
    recording = read_raw(raw)
    np.testing.assert_allclose(recording.signal, noise(), rtol=1e-5)
    assert "unit_mul" in " ".join(recording.notes)
    raw.info["chs"][3]["unit"] = 112  # tesla
    with pytest.raises(UnitError, match="1 channels have another unit than volt: F4"):
        read_raw(raw)


def test_eeg_slower_than_other_channels_is_read_at_its_own_rate(tmp_path):
    slow, ecg = noise(70, 128), noise(70, 512, 1)
    alone = opened(write_edf(tmp_path / "alone.edf", slow, NAMES, rates=128))
    both = write_edf(tmp_path / "both.edf", [*slow, *ecg], [*NAMES, "ECG"], rates=[128] * 10 + [512])
    raw = opened(both)
    raw.info["bads"] = ["C3"]
    raw.set_annotations(mne.Annotations([3.0], [2.0], ["BAD_x"]))
    found = read_raw(raw)
    assert (found.sampling_rate, found.bads, found.bad_spans) == (128.0, ["C3"], [(3.0, 5.0)])
    np.testing.assert_array_equal(found.signal, read_raw(alone).signal)
    assert "EEG of 128 Hz beside channels of 512 Hz: read at its own rate" in found.notes
    loaded = read_raw(opened(both, preload=True))
    assert loaded.sampling_rate == 512 and "MNE brought it to 512 Hz" in " ".join(loaded.notes)
    part = read_raw(opened(both).crop(10, 65))
    np.testing.assert_array_equal(part.signal, found.signal[:, 1280 : 1280 + part.signal.shape[1]])
    assert part.sampling_rate == 128 and abs(part.signal.shape[1] - 55 * 128) <= 1


def test_eeg_too_slow_is_refused_by_name(tmp_path):
    signals, names = [*noise(20, 64, 2), *noise(20, 256, 8)], NAMES
    raw = opened(write_edf(tmp_path / "x.edf", signals, names, rates=[64] * 2 + [256] * 8))
    with pytest.raises(SamplingRateError, match="Fp1, Fp2 were recorded at 64 Hz, though other channels .* 256 Hz"):
        read_raw(raw)
    alone = opened(write_edf(tmp_path / "y.edf", noise(20, 64), names, rates=64))
    with pytest.raises(SamplingRateError, match="sampling_rate 64 Hz is below 94"):
        read_raw(alone)


def test_slow_eeg_keeps_pauses_and_marks(tmp_path):
    signals = [*noise(40, 128), *noise(40, 512, 1)]
    marks = [(50.0, 1.0, "BAD_late")]
    path = write_edf(
        tmp_path / "x.edf", signals, [*NAMES, "ECG"], [128] * 10 + [512], starts=paused(40, {10: 20.0}), marks=marks
    )
    found = read_raw(opened(path))
    assert [(s.start, s.onset) for s in found.stretches] == [(0, 0.0), (1280, 30.0)]
    assert found.bad_spans == [(50.0, 51.0)]


def test_waiting_projectors_are_applied(tmp_path):
    raw = raw_of(noise())
    raw.set_eeg_reference("average", projection=True, verbose="ERROR")
    raw.save(tmp_path / "x_raw.fif", verbose="ERROR")
    recording = read_raw(opened(tmp_path / "x_raw.fif"))
    np.testing.assert_allclose(recording.signal, noise() - noise().mean(axis=0), atol=1e-3)
    assert "applied the projectors stored with the recording: Average EEG reference" in recording.notes
    again = read_raw(opened(tmp_path / "x_raw.fif").apply_proj(verbose="ERROR"))
    np.testing.assert_allclose(again.signal, recording.signal, atol=1e-3)
    assert not any("projectors" in note for note in again.notes)


def test_bipolar_derivations_are_no_electrodes():
    raw = mne.set_bipolar_reference(raw_of(noise()), "F3", "C3", ch_name="x", drop_refs=True, verbose="ERROR")
    raw.rename_channels({"x": "F3"})
    recording = read_raw(raw)
    assert "F3" not in recording.ch_names and recording.selection.dropped["F3"] == "type bipolar"
    with pytest.raises(MontageError):
        read_raw(raw.pick(["F3"]))


def test_filters_of_the_recorder_are_told():
    raw = raw_of(noise()).filter(1.0, 30.0, verbose="ERROR")
    notes = " ".join(read_raw(raw).notes)
    assert "high-passed at 1 Hz before" in notes and "low-passed at 30 Hz before" in notes
    assert read_raw(raw_of(noise())).notes == []


def test_channels_that_were_left_out_or_renamed_keep_their_facts(tmp_path):
    """Units and rates are those of the file's channel, by place or by name."""
    signals = [*noise(20, 128), *noise(20, 512, 1)]
    units = ["nV" if k % 2 else "uV" for k in range(10)]
    path = write_edf(tmp_path / "x.edf", signals, [*NAMES, "ECG"], [128] * 10 + [512], [*units, "uV"])
    wanted = read_raw(opened(path))
    assert wanted.sampling_rate == 128 and wanted.signal[1].std() < 0.1 * wanted.signal[0].std()
    renamed = opened(path).rename_channels({name: f"EEG {name}-REF" for name in NAMES})
    np.testing.assert_array_equal(read_raw(renamed).signal, wanted.signal)
    fewer = read_raw(opened(path).pick([*NAMES[2:], "ECG"]))
    assert fewer.sampling_rate == 128
    np.testing.assert_array_equal(fewer.signal, wanted.signal[2:])


def test_half_a_file_is_told_of_a_recording_that_was_opened_elsewhere(tmp_path):
    path = write_edf(tmp_path / "x.edf", noise(), NAMES)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert "the file is truncated: it holds 9 of 20 records" in read_raw(opened(path)).notes


@pytest.mark.parametrize("suffix", ["edf", "vhdr", "fif"])
def test_samples_do_not_depend_on_the_blocks_they_are_read_in(tmp_path, monkeypatch, suffix):
    path = tmp_path / f"a_raw.{suffix}"
    if suffix == "edf":
        write_edf(path, noise(), NAMES, 250)
    elif suffix == "vhdr":
        mne.export.export_raw(path, raw_of(noise()), verbose="ERROR")
    else:
        raw_of(noise()).save(path, verbose="ERROR")
    raw = mne.io.read_raw(path, preload=False, verbose="ERROR")
    found = {}
    for seconds in (1000, 7, 0.37):
        monkeypatch.setattr(raw_mdjpt, "_BLOCK_SECONDS", seconds)
        found[seconds] = read_raw(raw).signal
    assert np.array_equal(found[1000], (raw.get_data() * 1e6).astype(np.float32))
    assert np.array_equal(found[1000], found[7]) and np.array_equal(found[1000], found[0.37])


def test_files_of_text_are_read_in_few_blocks(tmp_path, monkeypatch):
    """MNE goes through them from their beginning every time."""
    path = tmp_path / "a.vhdr"
    mne.export.export_raw(path, raw_of(noise()), verbose="ERROR")
    header = path.read_text(encoding="utf-8").replace("DataFormat=BINARY", "DataFormat=ASCII")
    infos = "[ASCII Infos]\nDecimalSymbol=.\nSkipLines=1\nSkipColumns=0\n\n[Channel Infos]"
    path.write_text(header.replace("[Channel Infos]", infos), encoding="utf-8")
    rows = [" ".join(NAMES), *(" ".join(f"{value:.3f}" for value in sample) for sample in noise().T)]
    (tmp_path / "a.eeg").write_text("\n".join(rows) + "\n")
    raw = mne.io.read_raw_brainvision(path, verbose="ERROR")
    monkeypatch.setattr(raw_mdjpt, "_BLOCK_SECONDS", 2)
    calls = []
    get_data = raw.get_data
    monkeypatch.setattr(raw, "get_data", lambda **given: calls.append(given) or get_data(**given))
    assert read_raw(raw).signal.shape[1] == raw.n_times
    assert len(calls) == 1
