//! Panics as log records, tied to the trace they happened in.

use std::cell::Cell;
use std::panic::PanicHookInfo;
use std::sync::Once;

use crate::core::record;

thread_local! {
    /// A panic inside the hook would abort the process.
    static IN_HOOK: Cell<bool> = const { Cell::new(false) };
}

/// Makes every panic of the process a log record and a log line with the trace id of the moment, before the hook that
/// was in place runs. A second call changes nothing.
///
/// The span in which it happened is ended by whatever the panic unwinds through. A panic that is caught on the way is
/// recorded all the same. With `logs.backtrace` the record has the stack trace.
///
/// ```standalone_crate
/// use waypost_telemetry::testing::TestTelemetry;
///
/// let telemetry = TestTelemetry::new("order-service");
/// waypost_telemetry::logs::install_panic_hook();
/// let context = telemetry.context();
/// let work = waypost_telemetry::in_context(context, || panic!("out of paper"));
/// assert!(std::thread::spawn(work).join().is_err());
/// assert_eq!(telemetry.finished_logs()[0].attribute("exception.message"), Some(&"out of paper".into()));
/// ```
pub fn install_panic_hook() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !IN_HOOK.replace(true) {
                record(panic);
                IN_HOOK.set(false);
            }
            before(panic);
        }));
    });
}

fn record(panic: &PanicHookInfo<'_>) {
    let message = panic.payload_as_str().unwrap_or("a panic without a text");
    record::record_panic(message, panic.location(), std::thread::current().name());
}
