//! `waypost up` on an empty folder: time to the first order, and memory at rest.

use std::time::Duration;

use crate::process::Waypost;
use crate::statistics::spread;

pub(crate) fn measure(runs: u32) -> anyhow::Result<()> {
    let mut up = Vec::new();
    let mut order = Vec::new();
    let mut resident = Vec::new();
    let mut anonymous = Vec::new();
    for _ in 0..runs {
        let folder = tempfile::tempdir()?;
        let waypost = Waypost::up(&folder.path().join("data"), &[], &[])?;
        up.push(waypost.until_up.as_secs_f64() * 1000.0);
        order.extend(waypost.until_order.map(|took| took.as_secs_f64() * 1000.0));
        // At rest: the first order's work is over.
        std::thread::sleep(Duration::from_secs(2));
        let (all, own) = waypost.memory_mb()?;
        resident.push(all);
        anonymous.push(own);
    }
    println!("runs: {runs}; median [smallest-largest]");
    println!("process start to \"is up\":             {} ms", spread(&up, 0));
    println!("process start to the printed order:   {} ms", spread(&order, 0));
    println!("resident at rest, all roles:          {} MB", spread(&resident, 1));
    println!("  of that not backed by the binary:   {} MB", spread(&anonymous, 1));
    Ok(())
}
