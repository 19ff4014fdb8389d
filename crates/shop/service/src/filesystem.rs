//! How much room the file system of a data folder has, as metrics: a database that finds none refuses orders.
//!
//! Read when the metrics are read. Nothing is reported while the system does not answer for the folder.

use std::path::{Path, PathBuf};

use rustix::fs::{StatVfs, statvfs};
use waypost_telemetry::Telemetry;

use crate::DataDir;

/// Reports `waypost.data.filesystem.available` and `waypost.data.filesystem.size` of the folder, in bytes, from now on. Data that
/// goes with the process has no folder and no metrics.
pub fn observe_filesystem(data: &DataDir, telemetry: &Telemetry) {
    let Some(folder) = data.folder() else { return };
    // What a process without privileges may still write; a file system keeps some back for root.
    let description = "Room left for this process in the file system of the data folder";
    gauge(telemetry, "waypost.data.filesystem.available", description, folder, |room| room.f_bavail);
    let description = "Size of the file system of the data folder";
    gauge(telemetry, "waypost.data.filesystem.size", description, folder, |room| room.f_blocks);
}

fn gauge(
    telemetry: &Telemetry,
    name: &'static str,
    description: &'static str,
    folder: &Path,
    blocks: fn(&StatVfs) -> u64,
) {
    let folder = PathBuf::from(folder);
    let gauge = telemetry.meter().u64_observable_gauge(name).with_unit("By").with_description(description);
    let observed = gauge.with_callback(move |observer| {
        if let Ok(room) = statvfs(&folder) {
            observer.observe(blocks(&room).saturating_mul(room.f_frsize), &[]);
        }
    });
    observed.build();
}
