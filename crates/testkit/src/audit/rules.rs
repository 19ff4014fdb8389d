//! What has to hold between the books once everything has settled.

use std::collections::BTreeMap;

use super::{Books, Charge, Finding, Order, Payment};

/// Everything of one order.
struct Case<'a> {
    order: &'a Order,
    payments: Vec<&'a Payment>,
    charges: Vec<&'a Charge>,
}

pub(super) fn findings(books: &Books) -> Vec<Finding> {
    let mut findings = sums(books);
    let payment_of: BTreeMap<&str, &Payment> =
        books.payments.iter().map(|payment| (payment.id.as_str(), payment)).collect();
    let mut cases: BTreeMap<&str, Case<'_>> = BTreeMap::new();
    for (id, order) in &books.orders {
        cases.insert(id, Case { order, payments: Vec::new(), charges: Vec::new() });
    }
    for payment in &books.payments {
        match cases.get_mut(payment.order.as_str()) {
            Some(case) => case.payments.push(payment),
            None => findings.push(of(&payment.order, "I6", "a payment without an order")),
        }
    }
    for charge in &books.charges {
        let order = payment_of.get(charge.reference.as_str()).map(|payment| payment.order.as_str());
        match order.and_then(|order| cases.get_mut(order)) {
            Some(case) => case.charges.push(charge),
            None => findings.push(general("I6", format!("charge {} without a payment", charge.id))),
        }
    }
    for case in cases.values() {
        findings.extend(ending(books, case));
        findings.extend(money(case));
        findings.extend(stock(books, case));
        findings.extend(messages(books, case));
    }
    findings.extend(
        books.open_refunds.iter().map(|(order, state)| of(order, "I14", format!("a refund is {state}"))),
    );
    findings.sort();
    findings
}

/// I9, I11, I16: sums over all orders.
fn sums(books: &Books) -> Vec<Finding> {
    let due: i64 = books.orders.values().filter(|order| order.is_completed()).map(|order| order.amount).sum();
    let mut findings = Vec::new();
    let numbers = [
        ("I11", "pieces still reserved", books.reserved, 0),
        ("I16", "events not published", books.unsent, 0),
        ("I9", "debits less credits", books.imbalance, 0),
        ("I9", "sales in our ledger, and what completed orders owe", books.sales, due),
        (
            "I9",
            "captured less refunded at the provider, and what completed orders owe",
            books.provider_ledger,
            due,
        ),
    ];
    for (guarantee, what, is, should) in numbers {
        if is != should {
            findings.push(general(guarantee, format!("{what}: {is}, not {should}")));
        }
    }
    findings.extend(books.wrong_shelves.iter().map(|product| {
        general("I11", format!("on hand of {product} is not what was received less what was taken"))
    }));
    findings
}

/// I14: it has ended, and so has all that belongs to it.
fn ending(books: &Books, case: &Case<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !case.order.is_settled() {
        findings.push(case.finding("I14", format!("is {} still", case.order.status)));
    }
    if books.held.contains(&case.order.id) {
        findings.push(case.finding("I10", format!("is {} and holds stock", case.order.status)));
    }
    for payment in case.payments.iter().filter(|payment| payment.state == "unknown") {
        findings.push(case.finding("I14", format!("payment {} is unknown still", payment.id)));
    }
    findings
}

/// I8, I9, I10: the money here and at the provider.
fn money(case: &Case<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let owed = if case.order.is_completed() { case.order.amount } else { 0 };
    let booked: i64 = case.payments.iter().map(|payment| payment.captured - payment.refunded).sum();
    let charged: i64 = case.charges.iter().map(|charge| charge.captured - charge.refunded).sum();
    if charged != owed {
        findings
            .push(case.finding("I10", format!("{}: owes {owed}, was charged {charged}", case.order.told())));
    }
    if booked != charged {
        findings.push(case.finding("I9", format!("was charged {charged}, our books have {booked}")));
    }
    for charge in case.charges.iter().filter(|charge| charge.status == "authorized") {
        let what = format!("{}: charge {} is authorized still", case.order.told(), charge.id);
        findings.push(case.finding("I10", what));
    }
    findings
}

/// I10, I11: what it took from stock.
fn stock(books: &Books, case: &Case<'_>) -> Vec<Finding> {
    let Order { product, quantity, .. } = case.order;
    let taken = books.taken.get(&case.order.id).cloned().unwrap_or_default();
    let due = if case.order.is_completed() { vec![(product.clone(), *quantity)] } else { Vec::new() };
    let is_right = taken == due;
    let what = format!("{}: took {taken:?} from stock, not {due:?}", case.order.told());
    (!is_right).then(|| case.finding("I10", what)).into_iter().collect()
}

/// I16, I18: its one message, and that it is true.
fn messages(books: &Books, case: &Case<'_>) -> Vec<Finding> {
    let told = books.told.get(&case.order.id).cloned().unwrap_or_default();
    let mut findings = Vec::new();
    let due = usize::from(case.order.is_settled());
    if told.len() != due {
        findings
            .push(case.finding("I16", format!("is {} and has {} messages", case.order.status, told.len())));
    }
    let was_charged = case.charges.iter().any(|charge| charge.captured > 0);
    for subject in told {
        if was_charged && subject.to_lowercase().contains("nothing was charged") {
            findings.push(
                case.finding("I10", format!("money was taken, if only for a time, and told was: {subject}")),
            );
        }
    }
    findings
}

impl Order {
    fn is_completed(&self) -> bool {
        self.status == "completed"
    }

    /// It is completed, failed or cancelled.
    pub fn is_settled(&self) -> bool {
        matches!(self.status.as_str(), "completed" | "failed" | "cancelled")
    }

    fn told(&self) -> String {
        match &self.failure_code {
            Some(code) => format!("{} ({code})", self.status),
            None => self.status.clone(),
        }
    }
}

impl Case<'_> {
    fn finding(&self, guarantee: &'static str, what: impl Into<String>) -> Finding {
        of(&self.order.id, guarantee, what)
    }
}

fn of(order: &str, guarantee: &'static str, what: impl Into<String>) -> Finding {
    Finding { guarantee, order: Some(order.to_owned()), what: what.into() }
}

fn general(guarantee: &'static str, what: impl Into<String>) -> Finding {
    Finding { guarantee, order: None, what: what.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One completed order with everything that belongs to it.
    fn sold() -> Books {
        let order = Order {
            id: "o1".into(),
            status: "completed".into(),
            failure_code: None,
            product: "p".into(),
            quantity: 2,
            amount: 500,
        };
        let payment = Payment {
            id: "pay".into(),
            order: "o1".into(),
            state: "captured".into(),
            captured: 500,
            refunded: 0,
        };
        let charge = Charge {
            id: "ch".into(),
            reference: "pay".into(),
            status: "captured".into(),
            captured: 500,
            refunded: 0,
        };
        Books {
            orders: BTreeMap::from([("o1".into(), order)]),
            payments: vec![payment],
            charges: vec![charge],
            taken: BTreeMap::from([("o1".into(), vec![("p".into(), 2)])]),
            told: BTreeMap::from([("o1".into(), vec!["Order o1 is complete".into()])]),
            sales: 500,
            provider_ledger: 500,
            ..Books::default()
        }
    }

    #[track_caller]
    fn finds(change: impl FnOnce(&mut Books), what: &str) {
        let mut books = sold();
        change(&mut books);
        let findings = findings(&books);
        assert!(findings.iter().any(|finding| finding.to_string().contains(what)), "{what}: {findings:#?}");
    }

    #[test]
    fn right_books_have_no_findings() {
        assert_eq!(findings(&sold()), []);
    }

    #[test]
    fn each_thing_that_is_wrong_is_found() {
        let fail = |books: &mut Books| {
            let order = books.orders.get_mut("o1").unwrap();
            order.status = "failed".into();
            order.failure_code = Some("payment_declined".into());
        };
        finds(fail, "failed (payment_declined): owes 0, was charged 500");
        finds(fail, "took [(\"p\", 2)] from stock, not []");
        finds(|books| books.charges[0].status = "authorized".into(), "authorized still");
        finds(|books| books.payments[0].state = "unknown".into(), "unknown still");
        finds(|books| books.payments[0].captured = 0, "our books have 0");
        finds(|books| books.payments.clear(), "charge ch without a payment");
        finds(|books| books.held = ["o1".into()].into(), "holds stock");
        finds(|books| books.told.clear(), "has 0 messages");
        finds(|books| books.told.get_mut("o1").unwrap()[0] = "Nothing was charged".into(), "told was");
        finds(|books| books.orders.get_mut("o1").unwrap().status = "confirmed".into(), "is confirmed still");
        finds(|books| books.open_refunds.push(("o1".into(), "pending".into())), "a refund is pending");
        finds(|books| books.reserved = 1, "still reserved");
        finds(|books| books.unsent = 1, "not published");
        finds(|books| books.sales = 0, "sales in our ledger");
        finds(|books| books.wrong_shelves.push("p".into()), "on hand of p");
    }
}
