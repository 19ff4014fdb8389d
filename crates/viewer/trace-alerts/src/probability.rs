//! How likely a count is, for telling a change from chance.

/// ln of the gamma function for x >= 1 (Stirling's series; below 8 by recurrence). Exact to about 1e-10, relative.
fn ln_gamma(x: f64) -> f64 {
    let (mut x, mut product) = (x, 1.0_f64);
    while x < 8.0 {
        product *= x;
        x += 1.0;
    }
    let inverse = 1.0 / (x * x);
    let series = (1.0 / 12.0 - inverse * (1.0 / 360.0 - inverse * (1.0 / 1260.0 - inverse / 1680.0))) / x;
    (x - 0.5) * x.ln() - x + 0.5 * (2.0 * std::f64::consts::PI).ln() + series - product.ln()
}

fn ln_choose(n: f64, k: f64) -> f64 {
    ln_gamma(n + 1.0) - ln_gamma(k + 1.0) - ln_gamma(n - k + 1.0)
}

/// The chance that of `n` calls at least `k` are of a sort of which each is with chance `p`; 1 when that is what one expects.
#[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
pub(crate) fn at_least(k: u64, n: u64, p: f64) -> f64 {
    let (k, n) = (k.min(n) as f64, n as f64);
    if k <= n * p || k <= 0.0 {
        return 1.0;
    }
    if p <= 0.0 {
        return 0.0;
    }
    let ln_first = ln_choose(n, k) + k * p.ln() + (n - k) * (1.0 - p).ln();
    // Beyond the mean each term is smaller than the one before by a falling factor.
    let (mut sum, mut term, mut i) = (1.0, 1.0, k);
    while i < n && term > sum * 1e-12 {
        term *= (n - i) / (i + 1.0) * (p / (1.0 - p));
        sum += term;
        i += 1.0;
    }
    (ln_first.exp() * sum).min(1.0)
}

/// The chance of at most `k` calls where `expected` are expected; 1 when there are not fewer than that.
#[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
pub(crate) fn at_most(k: u64, expected: f64) -> f64 {
    let k = k as f64;
    if k >= expected {
        return 1.0;
    }
    let ln_last = k * expected.ln() - expected - ln_gamma(k + 1.0);
    let (mut sum, mut term, mut i) = (1.0, 1.0, k);
    while i > 0.0 && term > sum * 1e-12 {
        term *= i / expected;
        sum += term;
        i -= 1.0;
    }
    (ln_last.exp() * sum).min(1.0)
}

/// The upper end of the Wilson interval of a share (95 %, one-sided): what it may be, for all that few calls say.
#[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
pub(crate) fn upper_share(part: u64, all: u64) -> f64 {
    const Z: f64 = 1.645;
    if all == 0 {
        return 1.0;
    }
    let (n, p) = (all as f64, part as f64 / all as f64);
    let z2 = Z * Z;
    let middle = p + z2 / (2.0 * n);
    let half = Z * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
    ((middle + half) / (1.0 + z2 / n)).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By adding up all terms, each made by multiplication alone.
    fn exact_at_least(k: u32, n: u32, p: f64) -> f64 {
        let choose = |k: u32| (0..k).fold(1.0, |so_far, i| so_far * f64::from(n - i) / f64::from(i + 1));
        (k..=n).map(|i| choose(i) * p.powi(i.cast_signed()) * (1.0 - p).powi((n - i).cast_signed())).sum()
    }

    #[test]
    fn tails_are_those_of_the_exact_sums() {
        for (k, n, p) in [(1, 5, 0.1), (6, 50, 0.02), (30, 60, 0.3), (60, 60, 0.9), (12, 170, 0.02)] {
            let (told, exact) =
                (at_least(k, n, p), exact_at_least(u32::try_from(k).unwrap(), u32::try_from(n).unwrap(), p));
            assert!((told / exact - 1.0).abs() < 1e-6, "{k} of {n} at {p}: {told} instead of {exact}");
        }
        assert_eq!(
            [at_least(2, 100, 0.5), at_least(0, 10, 0.0)].map(f64::to_bits),
            [1.0_f64; 2].map(f64::to_bits)
        );
        // e^-3 (1 + 3 + 4.5)
        assert!((at_most(2, 3.0) / ((-3.0_f64).exp() * 8.5) - 1.0).abs() < 1e-6);
        assert!(at_most(0, 50.0) > 0.0 && at_most(0, 50.0) < 1e-20);
        assert!((at_most(9, 9.0) - 1.0).abs() < f64::EPSILON);
    }

    #[test]
    fn few_calls_leave_a_share_open_and_many_do_not() {
        assert!(upper_share(0, 10) > 0.2 && upper_share(0, 10) < 0.25);
        assert!(upper_share(3, 1_420) < 0.006 && upper_share(3, 1_420) > 0.002);
        assert!(upper_share(5, 5) > 0.99);
    }
}
