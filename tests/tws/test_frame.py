"""Frames on the wire, however the bytes arrive, and what is no frame at all."""

from __future__ import annotations

import random
import socket
import struct
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tws.wire import Wire
from workbench.tws import Simulator
from workbench.tws.frame import BadFrame, FrameReader, encode, fields_of, text_of

FIELDS = st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",))), min_size=1, max_size=6)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "1"),
        (False, "0"),
        (None, ""),
        (100.0, "100"),
        (189.45, "189.45"),
        (float("nan"), "nan"),
        (7, "7"),
        ("", ""),
    ],
)
def test_a_field_is_written_as_old_clients_can_read_it(value, text):
    assert text_of(value) == text


def test_a_frame_is_its_length_and_fields_that_end_in_nul():
    assert encode([9, 1, 5]) == b"\0\0\0\x06" + b"9\x001\x005\x00"


@given(frames=st.lists(FIELDS, max_size=5), cuts=st.lists(st.integers(0, 400), max_size=8))
def test_frames_are_found_wherever_the_stream_is_cut(frames, cuts):
    stream = b"API\0" + b"".join(encode(fields) for fields in frames)
    places = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    reader = FrameReader()
    found = [fields_of(body) for start, end in pairwise(places) for body in reader.feed(stream[start:end])]
    assert found == frames


@pytest.mark.parametrize("stream", [b"GET / HTTP/1.1\r\n\r\n", b"API\0" + struct.pack(">I", 1 << 30)])
def test_what_is_no_frame_ends_the_connection(stream):
    with pytest.raises(BadFrame):
        list(FrameReader().feed(stream))
    with Simulator(factor=0) as sim, socket.create_connection(("127.0.0.1", sim.port), 5) as client:
        client.sendall(stream)
        assert client.recv(100) == b""
        with Wire(sim.port) as wire:  # and nobody else's
            wire.send(49, 1)
            wire.until("49")


@pytest.mark.parametrize(
    ("offer", "version"), [("v100..157", 157), ("v157..178", 178), ("v100..222", 178), ("v157..158", 157)]
)
def test_the_version_is_the_highest_that_both_know(offer, version):
    with Simulator(factor=0) as sim, Wire(sim.port, version=offer) as wire:
        assert wire.version == version


def test_a_client_that_is_too_new_is_turned_away():
    with Simulator(factor=0) as sim, pytest.raises(EOFError):
        Wire(sim.port, version="v201..222")


def test_nothing_is_said_between_the_version_and_message_71():
    with Simulator(factor=0) as sim, Wire(sim.port, start=False) as wire:
        assert wire.quiet() == []
        assert wire.got[0][0] == "178"
        assert len(wire.got[0]) == 2
        wire.send(61, 1)
        assert wire.until("4")[3] == "504"


@pytest.mark.parametrize(("version", "sent"), [("v157..157", 110), ("v157..178", 114)])
def test_an_order_has_as_many_fields_as_the_reference_counts(version, sent):
    with Simulator(factor=0) as sim, Wire(sim.port, version=version) as wire:
        wire.place(1, kind="LMT", limit=150.0)
        wire.until("3")
        assert len(wire.sent) == sent


@pytest.mark.parametrize(
    ("version", "opened", "completed"), [("v157..157", 128, 96), ("v157..176", 136, 101), ("v157..178", 135, 100)]
)
def test_the_long_messages_have_as_many_fields_as_the_reference_counts(version, opened, completed):
    with Simulator(factor=0) as sim, Wire(sim.port, version=version) as wire:
        wire.place(1, kind="LMT", limit=150.0)
        assert len(wire.until("5")) == opened
        wire.send(58, 1)
        wire.send(99, 0)
        assert len(wire.until("101")) == completed


@pytest.mark.parametrize(
    "fields", [(999, 1), ("x", 1), (), (3, 1), (3, "x"), (20, "x"), (1, 11), (7, 3), (4, 1), (62, 1, 5)]
)
def test_a_request_that_cannot_be_read_is_an_error_and_nothing_else(fields):
    with Simulator(factor=0) as sim, Wire(sim.port) as wire:
        wire.send(*fields)
        wire.send(49, 1)
        assert wire.until("4")[3] in ("320", "505")
        wire.until("49")


def test_a_thousand_mutated_orders_never_stop_the_server_nor_invent_a_fill():
    random.seed(5)
    with Simulator(factor=0) as sim, Wire(sim.port) as wire:
        wire.place(1, kind="LMT", limit=150.0)
        wire.until("3")
        body = bytearray("".join(f"{field}\0" for field in wire.sent).encode())
        for _ in range(1_000):
            spoiled = bytearray(body)
            for _ in range(random.randrange(1, 4)):
                spoiled[random.randrange(2, len(spoiled))] ^= random.randrange(1, 256)
            wire.socket.sendall(struct.pack(">I", len(spoiled)) + spoiled)
        wire.send(49, 1)
        wire.until("49", 30)
        assert len(sim.log()) > 900
        assert all(one["order_id"] in {row["order_id"] for row in sim.orders()} for one in sim.executions())
