//! An export request that is too large, in two: by its items, or metrics by their points.
//!
//! Only for what no other bound has caught, such as JSON, whose size is known once it is written; so it works on the
//! bytes of a request and makes new ones. The halves say the same of resource and scope as the whole.

use std::ops::Range;

use bytes::Bytes;

use super::frame::Frame;
use crate::base::wire::read::{Field, fields};
use crate::base::wire::{put_bytes, put_fixed32, put_fixed64, put_message, put_number};

/// The fields that lead from a message to its parts, one step after another.
type Way = &'static [&'static [u32]];

/// The spans of `ResourceSpans` of a request, or its log records.
const ITEMS: Way = &[&[1], &[2], &[2]];
/// The points of the gauges, sums, histograms and exponential histograms of a request.
const POINTS: Way = &[&[1], &[2], &[2], &[5, 7, 9, 10], &[1]];

/// Spans or log records in two halves; `None` if there is but one.
pub(super) fn items(frames: &[Frame]) -> Option<[Vec<Frame>; 2]> {
    let (first, rest) = frames.split_first()?;
    if rest.is_empty() {
        return Some(halves(first, ITEMS)?.map(|half| vec![half]));
    }
    let (left, right) = frames.split_at(frames.len() / 2);
    Some([left.to_vec(), right.to_vec()])
}

/// A reading of metrics in two halves, each with the number of its points; `None` if there is but one.
pub(super) fn points(frame: &Frame) -> Option<[Frame; 2]> {
    halves(frame, POINTS)
}

fn halves(frame: &Frame, way: Way) -> Option<[Frame; 2]> {
    let whole = frame.pieces.concat();
    let count = leaves(&whole, way);
    if count < 2 {
        return None;
    }
    let part = |wanted: Range<usize>| {
        let (mut out, mut place) = (Vec::new(), 0);
        keep(&mut out, &whole, way, &wanted, &mut place);
        Frame { items: wanted.len(), bytes: out.len(), pieces: vec![Bytes::from(out)] }
    };
    Some([part(0..count / 2), part(count / 2..count)])
}

fn leaves(message: &[u8], way: Way) -> usize {
    let Some((step, further)) = way.split_first() else { return 1 };
    let on_the_way = fields(message).filter(|(number, _)| step.contains(number));
    on_the_way.map(|(_, field)| leaves(field.bytes(), further)).sum()
}

/// Copies a message without the leaves that are not wanted, and without what holds none of those that are.
fn keep(out: &mut Vec<u8>, message: &[u8], way: Way, wanted: &Range<usize>, place: &mut usize) {
    let Some((step, further)) = way.split_first() else { return };
    for (number, field) in fields(message) {
        if !step.contains(&number) {
            put(out, number, field);
            continue;
        }
        let begin = *place;
        let end = begin + leaves(field.bytes(), further);
        if end <= wanted.start || begin >= wanted.end {
            *place = end;
        } else if further.is_empty() {
            put(out, number, field);
            *place = end;
        } else {
            put_message(out, number, |out| keep(out, field.bytes(), further, wanted, place));
        }
    }
}

pub(super) fn put(out: &mut Vec<u8>, number: u32, field: Field<'_>) {
    match field {
        Field::Varint(value) => put_number(out, number, value),
        Field::Fixed64(value) => put_fixed64(out, number, value),
        Field::Fixed32(value) => put_fixed32(out, number, value),
        Field::Bytes(bytes) => put_bytes(out, number, bytes),
    }
}
