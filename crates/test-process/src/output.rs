//! What a child says, as it arrives.

use std::io::{BufRead as _, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

/// Where a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    Out,
    Err,
}

/// The lines of a child. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    said: Arc<Mutex<Said>>,
    /// For those that block.
    changed: Arc<Condvar>,
    /// For those that await.
    version: Arc<watch::Sender<u64>>,
}

#[derive(Debug, Default)]
pub(crate) struct Said {
    lines: Vec<(Stream, String)>,
    /// Streams that have not ended.
    open: usize,
}

impl Said {
    /// The lines so far.
    pub(crate) fn lines(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().map(|(_, line)| line.as_str())
    }

    /// The lines of one stream, each with its end.
    pub(crate) fn text(&self, stream: Stream) -> String {
        let of_it = self.lines.iter().filter(|(of, _)| *of == stream);
        of_it.flat_map(|(_, line)| [line.as_str(), "\n"]).collect()
    }

    /// True when nothing comes any more.
    pub(crate) fn has_ended(&self) -> bool {
        self.open == 0
    }
}

impl Output {
    /// Nothing yet, of this many streams.
    pub(crate) fn of(streams: usize) -> Self {
        let said = Said { lines: Vec::new(), open: streams };
        let (changed, version) = (Arc::default(), Arc::new(watch::Sender::new(0)));
        Self { said: Arc::new(Mutex::new(said)), changed, version }
    }

    /// Reads a stream to its end, on a thread.
    pub(crate) fn read(&self, stream: Stream, source: impl Read + Send + 'static) {
        let output = self.clone();
        std::thread::spawn(move || {
            let mut reader = BufReader::new(source);
            let mut line = Vec::new();
            while reader.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
                let text = String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']).to_owned();
                output.change(|said| said.lines.push((stream, text)));
                line.clear();
            }
            output.change(|said| said.open -= 1);
        });
    }

    /// Waits until `find` makes something of what was said, blocking the thread; `None` when that does not happen in time.
    pub(crate) fn wait<T>(&self, within: Duration, find: impl Fn(&Said) -> Option<T>) -> Option<T> {
        let end = Instant::now() + within;
        let mut said = self.lock();
        loop {
            if let Some(found) = find(&said) {
                return Some(found);
            }
            let left = end.checked_duration_since(Instant::now())?;
            said = self.changed.wait_timeout(said, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The same without blocking.
    pub(crate) async fn until<T>(&self, within: Duration, find: impl Fn(&Said) -> Option<T>) -> Option<T> {
        let mut version = self.version.subscribe();
        let waiting = async {
            loop {
                if let Some(found) = find(&self.lock()) {
                    return found;
                }
                // The sender lives as long as this does.
                let _ = version.changed().await;
            }
        };
        tokio::time::timeout(within, waiting).await.ok()
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Said)) {
        change(&mut self.lock());
        self.changed.notify_all();
        self.version.send_modify(|version| *version += 1);
    }
}
