//! Standard output and standard error, as something that cannot hold the process up.
//!
//! A reader that is gone is passed over. One that is there and does not read (a stopped pager, a supervisor that hangs) lets a pipe
//! fill, and a plain write would then wait for ever, with whatever thread has something to say: such a process does no work and does
//! not end when it is told to. So a write to a full pipe waits for [`PATIENCE`] once; from then on what finds no room is left out,
//! and its number is said as soon as there is room again.
//!
//! Left out: terminals, sockets, and pipes that the system does not let this process open anew (such as those of another user). They
//! are written to as they are.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::OFlags;

/// How long a reader that has fallen behind is waited for. Longer than one on a loaded machine takes.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often a full pipe is tried meanwhile.
const LOOK: Duration = Duration::from_millis(5);

static STANDARD_OUTPUT: Stream = Stream::new("/proc/self/fd/1");
static STANDARD_ERROR: Stream = Stream::new("/proc/self/fd/2");

/// One of the two. Each write is one text that is written whole or left out, and never fails for want of room.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Output {
    Standard,
    Error,
}

impl Write for Output {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        let stream = match self {
            Output::Standard => &STANDARD_OUTPUT,
            Output::Error => &STANDARD_ERROR,
        };
        match (stream.pipe(), self) {
            (Some(pipe), _) => stream.write(pipe, text)?,
            (None, Output::Standard) => {
                let mut out = io::stdout().lock();
                out.write_all(text)?;
                out.flush()?;
            }
            (None, Output::Error) => io::stderr().lock().write_all(text)?,
        }
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Debug)]
struct Stream {
    /// Where the system shows it.
    place: &'static str,
    /// An end of the pipe for this process alone: not to wait is said for one end, and the first is shared with others.
    pipe: OnceLock<Option<File>>,
    reader: Mutex<Reader>,
}

/// What is known of who reads.
#[derive(Debug)]
struct Reader {
    has_stalled: bool,
    /// Texts that were left out and are not told of.
    left_out: u64,
}

impl Stream {
    const fn new(place: &'static str) -> Stream {
        let reader = Mutex::new(Reader { has_stalled: false, left_out: 0 });
        Stream { place, pipe: OnceLock::new(), reader }
    }

    fn pipe(&self) -> Option<&File> {
        let open = || {
            let is_pipe = fs::metadata(self.place).is_ok_and(|found| found.file_type().is_fifo());
            let flags = OFlags::NONBLOCK.bits().cast_signed();
            is_pipe
                .then(|| OpenOptions::new().write(true).custom_flags(flags).open(self.place).ok())
                .flatten()
        };
        self.pipe.get_or_init(open).as_ref()
    }

    fn write(&self, pipe: &File, text: &[u8]) -> io::Result<()> {
        // Whole between any two statements.
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        if reader.left_out > 0 {
            let missing =
                format!("\n[nobody read this for a while: {} lines are missing]\n", reader.left_out);
            match write_within(pipe, missing.as_bytes(), Duration::ZERO) {
                Ok(()) => *reader = Reader { has_stalled: false, left_out: 0 },
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        let patience = if reader.has_stalled { Duration::ZERO } else { PATIENCE };
        match write_within(pipe, text, patience) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                reader.has_stalled = true;
                reader.left_out += 1;
                Ok(())
            }
            written => written,
        }
    }
}

/// Writes all of a text, if there is room for it in time.
fn write_within(mut pipe: &File, mut text: &[u8], patience: Duration) -> io::Result<()> {
    let begun = Instant::now();
    while !text.is_empty() {
        match pipe.write(text) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => text = text.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock && begun.elapsed() < patience => {
                thread::sleep(LOOK);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
