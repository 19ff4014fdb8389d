//! The names that certificates have for roles.

/// The longest list of names in a message, in characters.
const MAX_SHOWN: usize = 200;

/// For each role, the names of which a certificate needs one to be the role's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names(Vec<(&'static str, Vec<String>)>);

impl Names {
    /// From roles with their names: DNS names, and URIs, which are told by their `://`.
    pub fn new(names: impl IntoIterator<Item = (&'static str, Vec<String>)>) -> Self {
        Self(names.into_iter().collect())
    }

    /// The names of a role.
    pub fn of(&self, role: &str) -> &[String] {
        self.0.iter().find(|(known, _)| *known == role).map_or(&[], |(_, names)| names)
    }

    /// The roles that a certificate with these names belongs to.
    pub(crate) fn roles(&self, of_certificate: &[String]) -> Vec<&'static str> {
        let is_its = |names: &[String]| is_any(names, of_certificate);
        self.0.iter().filter(|(_, names)| is_its(names)).map(|(role, _)| *role).collect()
    }
}

/// Whether one of the names is in the certificate.
pub(crate) fn is_any(names: &[String], of_certificate: &[String]) -> bool {
    names.iter().any(|name| of_certificate.iter().any(|found| is_same(name, found)))
}

/// DNS names know no case (RFC 4343); URIs do.
fn is_same(name: &str, found: &str) -> bool {
    if name.contains("://") { name == found } else { name.eq_ignore_ascii_case(found) }
}

/// Names as a message shows them.
pub(crate) fn shown(names: &[String]) -> String {
    if names.is_empty() {
        return "nothing".to_owned();
    }
    let all = names.iter().map(|name| format!("`{}`", name.escape_debug())).collect::<Vec<_>>().join(", ");
    if all.chars().count() <= MAX_SHOWN {
        return all;
    }
    let cut: String = all.chars().take(MAX_SHOWN).collect();
    format!("{cut}...")
}

/// Who is at the other end of a connection, as its certificate says. In the extensions of each request of the connection,
/// as `Arc<Peer>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    roles: Vec<&'static str>,
    shown: String,
}

impl Peer {
    pub(crate) fn new(names: &Names, of_certificate: &[String]) -> Self {
        Self { roles: names.roles(of_certificate), shown: shown(of_certificate) }
    }

    /// Whether the certificate belongs to one of the roles.
    pub fn is_one_of(&self, roles: &[&str]) -> bool {
        self.roles.iter().any(|role| roles.contains(role))
    }

    /// The roles that the certificate belongs to; most often one, none for a stranger of the same authority.
    pub fn roles(&self) -> &[&'static str] {
        &self.roles
    }

    /// The names in the certificate, for messages.
    pub fn names(&self) -> &str {
        &self.shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Names::new([
            ("order", list(&["order", "spiffe://shop.example/order"])),
            ("user", list(&["user.shop.internal"])),
        ])
    }

    fn roles(of_certificate: &[&str]) -> Vec<&'static str> {
        names().roles(&of_certificate.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn a_certificate_belongs_to_the_roles_whose_names_it_has() {
        assert_eq!(roles(&["host-7", "Order"]), ["order"]);
        assert_eq!(roles(&["spiffe://shop.example/order"]), ["order"]);
        assert_eq!(roles(&["order", "user.shop.internal"]), ["order", "user"]);
        assert_eq!(roles(&["SPIFFE://shop.example/order"]), [""; 0], "a URI is compared as it is");
        assert_eq!(roles(&["*.shop.internal", "orders", ""]), [""; 0], "a wildcard is no name");
        assert_eq!(names().of("payment"), [""; 0]);
    }

    #[test]
    fn what_a_peer_calls_itself_fits_on_a_line() {
        assert_eq!(shown(&["a\nb".to_owned()]), "`a\\nb`");
        assert!(shown(&vec!["x".repeat(50); 20]).len() < 210);
        assert_eq!(shown(&[]), "nothing");
    }
}
