//! A disk that is full: senders are asked to come back, reading goes on, and with room it works again; nothing that was
//! acknowledged is lost, even when the viewer is killed meanwhile.
//!
//! The disk is a file system in memory of a few MiB, in a mount namespace of its own; ballast on it makes it full and is
//! taken away again. Where the system gives no such namespace the test says what it leaves out.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tonic::Code;
use waypost_testkit::{Client, Process, Viewer, left_out, program, until};

use crate::otlp::{ago, export, noise, post, refusal, request, service, span, text};
use crate::{BINARY, account};

const FULL: &str = "the disk is full";
/// Bytes of a request: more than the free rest that a smaller one might still find.
const REQUEST: usize = 100_000;

/// A disk of 6 MiB, of which 4 are ballast. Gone when dropped.
struct Disk {
    /// Where it is within its namespace.
    folder: PathBuf,
    /// Holds the namespace.
    holder: Process,
    _place: tempfile::TempDir,
}

impl Disk {
    /// `None` when the system gives none, said so.
    async fn mount(what: &str) -> Option<Disk> {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().to_owned();
        let script = "mount -t tmpfs -o size=6m tmpfs \"$0\" && head -c 4194304 /dev/zero > \"$0/ballast\" \
                      && echo mounted && exec sleep infinity";
        let mut command = program::command("unshare", place.path());
        command.args(["-rm", "sh", "-c", script]).arg(&folder);
        let mounted = async {
            let mut holder = Process::start(&mut command)?;
            holder.line("that it is mounted", |line| (line == "mounted").then_some(())).await?;
            anyhow::Ok(holder)
        };
        match mounted.await {
            Ok(holder) => Some(Disk { folder, holder, _place: place }),
            Err(reason) => {
                left_out(what, &format!("{reason:#}"));
                None
            }
        }
    }

    async fn viewer(&self, settings: &[(&str, &str)]) -> Viewer {
        let holder = self.holder.id().to_string();
        let enter = ["nsenter", "-t", &holder, "-U", "-m", "--preserve-credentials"];
        let begun = Viewer::of(BINARY, &self.folder.join("data")).by(&enter);
        settings.iter().fold(begun, |begun, (key, value)| begun.set(key, value)).start().await.unwrap()
    }

    /// A path on it, as it is reached from outside.
    fn path(&self, path: &str) -> PathBuf {
        let inside = self.folder.strip_prefix("/").unwrap();
        Path::new("/proc").join(self.holder.id().to_string()).join("root").join(inside).join(path)
    }

    fn make_room(&self) {
        std::fs::remove_file(self.path("ballast")).unwrap();
    }
}

/// A trace of one span that hardly packs.
fn bulky(trace: u128) -> [Value; 1] {
    let mut span = span(trace, 1, 0, "step", 1, ago(1_000), 1_000);
    span["attributes"] = json!([text("noise", &noise(u64::try_from(trace).unwrap(), REQUEST))]);
    [service("sender", &[span])]
}

/// Sends until the disk is full and returns the traces that were acknowledged; the next one was refused.
async fn fill(otlp: &Client) -> u128 {
    for trace in 1..1_000 {
        let answer = post(otlp, &bulky(trace)).await;
        if answer.status != 200 {
            let retry_after = answer.headers.get("retry-after").map(|value| value.to_str().unwrap());
            assert_eq!((answer.status.as_u16(), retry_after), (503, Some("1")), "{}", answer.json);
            assert_eq!(answer.json, json!({"code": 14, "message": FULL}));
            return trace - 1;
        }
    }
    panic!("the disk is never full");
}

/// Each of these traces is there, once and whole, and no other.
async fn assert_kept(ui: &Client, traces: impl Iterator<Item = u128>) {
    let mut expected = BTreeSet::new();
    for trace in traces {
        expected.insert(format!("{trace:032x}"));
        let span = ui.get(&format!("/api/v1/traces/{trace:x}/spans/1")).await.unwrap();
        let spans = span.json["spans"].as_array().unwrap();
        assert_eq!(spans.len(), 1, "{trace}");
        let value = noise(u64::try_from(trace).unwrap(), REQUEST);
        assert_eq!(spans[0]["attributes"][0]["value"], value.as_str(), "{trace}");
    }
    let found = account::found(ui, "service=sender").await;
    assert_eq!(found.len(), expected.len());
    assert_eq!(found.into_iter().collect::<BTreeSet<String>>(), expected);
}

#[tokio::test]
async fn a_full_disk_is_told_by_every_protocol_and_forgotten_when_there_is_room() {
    let Some(disk) = Disk::mount("a full disk").await else { return };
    let viewer = disk.viewer(&[]).await;
    let (otlp, zipkin, ui) = (viewer.client("otlp-http"), viewer.client("zipkin"), viewer.client("viewer"));
    let kept = fill(&otlp).await;
    assert!(kept > 5, "{kept}");

    let status = export(viewer.address("otlp-grpc"), &bulky(9_001), None).await.unwrap_err();
    assert_eq!(refusal(&status), (Code::Unavailable, FULL.to_owned(), Some(1)));
    let body = json!([{"traceId": "9002", "id": "1", "localEndpoint": {"serviceName": "sender"},
                       "tags": {"noise": noise(9_002, 2 * REQUEST)}}]);
    let answer = zipkin.post("/api/v2/spans", &[], &body.to_string()).await.unwrap();
    let told = (answer.status.as_u16(), answer.headers["retry-after"].to_str().unwrap());
    assert_eq!((told, &answer.bytes[..]), ((503, "1"), &b"the disk is full\n"[..]));
    let answer = ui.post("/api/v1/traces", &[], &request(&bulky(9_003))).await.unwrap();
    assert_eq!(
        (answer.status.as_u16(), &answer.json["type"]),
        (503, &json!("urn:waypost:viewer:unavailable"))
    );

    // Reading goes on, and says what is wrong.
    assert_kept(&ui, 1..=kept).await;
    let trouble = account::balanced(&ui).await["usage"]["trouble"].take();
    assert!(trouble.as_str().unwrap().contains("full"), "{trouble}");

    disk.make_room();
    assert_eq!(post(&otlp, &bulky(kept + 1)).await.status, 200, "the sender comes back");
    assert_eq!(export(viewer.address("otlp-grpc"), &bulky(kept + 2), None).await.unwrap(), None);
    assert_kept(&ui, 1..=kept + 2).await;
    assert_eq!(account::balanced(&ui).await["usage"]["trouble"], Value::Null);
    let kept = u64::try_from(kept).unwrap() + 2;
    assert_eq!(
        account::after(&ui, "sender", kept + 4).await,
        json!({"received": kept + 4, "stored": kept, "refused": {"disk": 4}, "evicted": {}})
    );
    assert!(viewer.stop().await.unwrap().status.success());
}

#[tokio::test]
async fn a_viewer_that_is_killed_on_a_full_disk_starts_on_it_and_has_all_it_acknowledged() {
    let Some(disk) = Disk::mount("kill -9 on a full disk").await else { return };
    let viewer = disk.viewer(&[]).await;
    let kept = fill(&viewer.client("otlp-http")).await;
    viewer.kill().await.unwrap();

    // Small heads: what the journal has is due to become a block, for which there is no room.
    let settings = [("viewer.store.head_spans", "2")];
    let viewer = disk.viewer(&settings).await;
    let (otlp, ui) = (viewer.client("otlp-http"), viewer.client("viewer"));
    assert_kept(&ui, 1..=kept).await;
    disk.make_room();
    until("a block is written", async || account::balanced(&ui).await["usage"]["files"] != 0).await;
    assert_kept(&ui, 1..=kept).await;
    assert_eq!(post(&otlp, &bulky(kept + 1)).await.status, 200);
    viewer.kill().await.unwrap();

    let viewer = disk.viewer(&settings).await;
    let ui = viewer.client("viewer");
    assert_kept(&ui, 1..=kept + 1).await;
    let account = account::of(&account::balanced(&ui).await, "sender").clone();
    assert_eq!((&account["stored"], &account["evicted"]), (&json!(kept + 1), &json!({})));
}
