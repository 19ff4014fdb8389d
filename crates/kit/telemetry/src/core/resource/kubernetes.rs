//! Which pod this is, from what the kubelet mounts into every container: nobody has to say it, and nobody is asked.
//!
//! The pod's name, its node and its workload are in no file; the downward API hands them in as `OTEL_RESOURCE_ATTRIBUTES`, or a
//! Collector that watches pods adds them by the id that is found here.

use opentelemetry::Value;

/// What the mounts of the process say.
pub(super) fn pod(mounts: &str) -> Vec<(&'static str, Value)> {
    let Some(uid) = mounts.lines().find_map(uid) else { return Vec::new() };
    let mut pairs = vec![("k8s.pod.uid", uid.to_owned().into())];
    if let Some(name) = mounts.lines().find_map(|line| container_name(line, uid)) {
        pairs.push(("k8s.container.name", name.to_owned().into()));
    }
    pairs
}

/// What is mounted, as a path on the node, and where.
fn mount(line: &str) -> Option<(&str, &str)> {
    let mut fields = line.split(' ').skip(3);
    Some((fields.next()?, fields.next()?))
}

/// The kubelet writes `/etc/hosts` of each pod into the pod's folder: `.../pods/<uid>/etc-hosts`.
fn uid(line: &str) -> Option<&str> {
    let (from, to) = mount(line)?;
    let (_, folder) = from.strip_suffix("/etc-hosts")?.rsplit_once("/pods/")?;
    (to == "/etc/hosts" && is_uid(folder)).then_some(folder)
}

/// And the last words of each container into `.../pods/<uid>/containers/<name>/<file>`.
fn container_name<'a>(line: &'a str, uid: &str) -> Option<&'a str> {
    let (from, _) = mount(line)?;
    let (_, rest) = from.split_once(uid)?;
    let (name, _) = rest.strip_prefix("/containers/")?.split_once('/')?;
    (!name.is_empty()).then_some(name)
}

/// A UUID, or what stands for one in pods that the kubelet runs by itself: 32 hexadecimal digits.
fn is_uid(text: &str) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_hexdigit).count();
    digits == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    const UID: &str = "3f1d2c4b-5a69-4788-9abc-0d1e2f3a4b5c";

    #[test]
    fn a_container_of_a_pod_is_told_by_its_mounts() {
        let mounts = format!(
            "812 800 0:52 / / ro,relatime - overlay overlay rw\n\
             840 812 8:1 /var/lib/kubelet/pods/{UID}/containers/waypost/9f8e7d6c /dev/termination-log rw - ext4 /dev/sda1 rw\n\
             841 812 8:1 /var/lib/kubelet/pods/{UID}/etc-hosts /etc/hosts rw - ext4 /dev/sda1 rw\n"
        );
        let expected: Vec<(&str, Value)> =
            vec![("k8s.pod.uid", UID.into()), ("k8s.container.name", "waypost".into())];
        assert_eq!(pod(&mounts), expected);
    }

    #[test]
    fn elsewhere_nothing_is_made_up() {
        let docker = "841 812 8:1 /var/lib/docker/containers/0d1e/hosts /etc/hosts rw - ext4 /dev/sda1 rw\n";
        assert_eq!(pod(docker), []);
        let alike = "841 812 8:1 /srv/pods/shop/etc-hosts /etc/hosts rw - ext4 /dev/sda1 rw\n";
        assert_eq!(pod(alike), []);
        assert_eq!(pod(""), []);
    }
}
