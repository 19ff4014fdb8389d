//! The framing of gRPC in the bytes of a body: a flag, a length, and that many bytes.

/// Flag and length: <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#requests>.
const FRAMING: usize = 5;

/// A frame begins, or goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    Begins { flag: u8, size: u32 },
    Payload(&'a [u8]),
}

/// Follows the frames of one direction, however their bytes are cut.
#[derive(Debug, Default)]
pub(super) struct Frames {
    framing: [u8; FRAMING],
    framed: usize,
    payload_left: usize,
}

impl Frames {
    /// Looks at the next bytes.
    pub(super) fn read<'a>(&mut self, mut data: &'a [u8], mut found: impl FnMut(Piece<'a>)) {
        while !data.is_empty() {
            if self.payload_left > 0 {
                let (passed, rest) = data.split_at(self.payload_left.min(data.len()));
                self.payload_left -= passed.len();
                found(Piece::Payload(passed));
                data = rest;
                continue;
            }
            let taken = (FRAMING - self.framed).min(data.len());
            let (head, rest) = data.split_at(taken);
            if let Some(free) = self.framing.get_mut(self.framed..self.framed + taken) {
                free.copy_from_slice(head);
            }
            self.framed += taken;
            data = rest;
            if self.framed == FRAMING {
                let [flag, length @ ..] = self.framing;
                let size = u32::from_be_bytes(length);
                self.framed = 0;
                self.payload_left = size as usize;
                found(Piece::Begins { flag, size });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_found_however_the_bytes_are_cut() {
        let stream = [0, 0, 0, 0, 3, 1, 2, 3, 1, 0, 0, 0, 0, 0x80, 0, 0, 1, 0, 9];
        let stream = [&stream[..], &[7; 255]].concat();
        for cut in [1, 2, 4, 7, 300] {
            let mut frames = Frames::default();
            let (mut begun, mut payload) = (Vec::new(), Vec::new());
            for part in stream.chunks(cut) {
                frames.read(part, |piece| match piece {
                    Piece::Begins { flag, size } => begun.push((flag, size)),
                    Piece::Payload(bytes) => payload.extend_from_slice(bytes),
                });
            }
            assert_eq!(begun, [(0, 3), (1, 0), (0x80, 256)], "cut at {cut}");
            assert_eq!(payload.len(), 3 + 256, "cut at {cut}");
        }
    }
}
