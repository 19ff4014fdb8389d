//! What only a provider of one's own can show: scopes, exponential histograms, readings that are not cumulative.

use std::sync::Arc;

use opentelemetry::metrics::MeterProvider as _;
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::reader::MetricReader as _;
use opentelemetry_sdk::metrics::{
    Aggregation, Instrument, ManualReader, SdkMeterProvider, Stream, Temporality,
};

use super::format::number;
use super::{Page, PageOptions};
use crate::core::readings::SharedReader;
use crate::core::readings::exemplars::Exemplars;

fn provider(temporality: Temporality) -> (Arc<ManualReader>, SdkMeterProvider) {
    let reader = Arc::new(ManualReader::builder().with_temporality(temporality).build());
    let exponential = |instrument: &Instrument| {
        let aggregation =
            Aggregation::Base2ExponentialHistogram { max_size: 160, max_scale: 20, record_min_max: true };
        let is_meant = instrument.name() == "exponential";
        is_meant.then(|| Stream::builder().with_aggregation(aggregation).build().ok()).flatten()
    };
    let provider = SdkMeterProvider::builder()
        .with_resource(Resource::builder_empty().build())
        .with_reader(SharedReader(Arc::clone(&reader)))
        .with_view(exponential)
        .build();
    (reader, provider)
}

fn page(reader: &ManualReader) -> String {
    let mut reading = ResourceMetrics::default();
    reader.collect(&mut reading).unwrap();
    let mut page = Page::new(PageOptions::default());
    page.add(&reading, &Exemplars::default(), "s", None);
    page.render()
}

#[test]
fn scopes_are_labels_and_their_attributes_too() {
    let (reader, provider) = provider(Temporality::Cumulative);
    let scope = InstrumentationScope::builder("library")
        .with_version("1.2")
        .with_schema_url("https://example.com/1")
        .with_attributes([
            KeyValue::new("team", "orders"),
            KeyValue::new("name", "clash"),
            KeyValue::new("schema.url", "clash"),
        ])
        .build();
    provider.meter_with_scope(scope).u64_counter("calls").build().add(1, &[]);
    provider.meter("another").u64_counter("calls").build().add(2, &[]);
    assert_eq!(
        page(&reader),
        "# TYPE calls_total counter\n\
         calls_total{otel_scope_name=\"another\",service_name=\"s\"} 2\n\
         calls_total{otel_scope_name=\"library\",otel_scope_schema_url=\"https://example.com/1\",\
         otel_scope_team=\"orders\",otel_scope_version=\"1.2\",service_name=\"s\"} 1\n"
    );
}

#[test]
fn exponential_histograms_are_left_out_with_a_remark() {
    let (reader, provider) = provider(Temporality::Cumulative);
    provider.meter("m").f64_histogram("exponential").build().record(1.0, &[]);
    assert_eq!(
        page(&reader),
        "# left out: exponential: an exponential histogram, which this format cannot show\n"
    );
}

#[test]
fn what_is_not_cumulative_is_left_out_with_a_remark() {
    let (reader, provider) = provider(Temporality::Delta);
    provider.meter("m").u64_counter("calls").build().add(1, &[]);
    assert_eq!(page(&reader), "# left out: calls: not cumulative\n");
}

#[test]
fn what_is_no_number_has_a_word_of_its_own() {
    let words = [f64::INFINITY, f64::NEG_INFINITY, f64::NAN].map(|value| number(&value));
    assert_eq!(words, ["+Inf", "-Inf", "NaN"]);
}
