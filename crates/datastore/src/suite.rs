//! The behaviours that every backend must have. Each is a function that takes a fresh [`Subject`] and panics
//! if the backend behaves differently. [`store_suite!`](crate::store_suite) makes a test of each. CouchDB 3
//! has every behaviour here.

// This is exported test code, and reports by panicking.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)]

use std::future::Future;
use std::time::Duration;

pub mod attachments;
pub mod changes;
pub mod content;
pub mod databases;
pub mod design_documents;
pub mod documents;
pub mod local;
pub mod many;
pub mod metering;
pub mod races;
pub mod ranges;
pub mod staleness;
mod subject;
pub mod views;

pub use subject::{ParsedRow, Subject};

/// A behaviour that takes longer than this is taken to hang.
const BEHAVIOUR_TIMEOUT: Duration = Duration::from_secs(180);

/// The prefix of a reason whose difference appears only in some runs.
pub const NOW_AND_THEN: &str = "now and then: ";

/// Runs one behaviour against a fresh subject, and removes the subject's databases afterwards.
///
/// # Panics
/// If the backend lacks the behaviour, unless `known_differences` names it. Also if the backend has a
/// behaviour that is named there, unless the reason begins with [`NOW_AND_THEN`].
pub async fn run<P, B, BF>(name: &str, prepare: P, known_differences: &[(&str, &str)], behaviour: B)
where
    P: Future<Output = Subject>,
    B: FnOnce(Subject) -> BF,
    BF: Future<Output = ()> + Send + 'static,
{
    let subject = prepare.await;
    subject.set_up().await;
    let outcome = tokio::spawn(tokio::time::timeout(BEHAVIOUR_TIMEOUT, behaviour(subject.clone()))).await;
    subject.tear_down().await;
    let known = known_differences.iter().find(|(known, _)| *known == name);
    match (outcome, known) {
        (Ok(Ok(())), None) => {}
        (Ok(Ok(())), Some((_, reason))) if reason.starts_with(NOW_AND_THEN) => {}
        (Ok(Ok(())), Some((_, reason))) => {
            panic!("{name} passes now: remove its known difference ({reason})")
        }
        (Ok(Err(_)), None) => panic!("{name} did not end within {BEHAVIOUR_TIMEOUT:?}"),
        (Err(failure), None) => std::panic::resume_unwind(failure.into_panic()),
        (Ok(Err(_)) | Err(_), Some((_, reason))) => {
            println!("a known difference: {name}: {reason}");
        }
    }
}

/// Makes a test of each behaviour that a backend must have.
///
/// `$prepare` is an `async fn() -> Subject` that returns a store and the name of an unused database.
/// `$known_differences` is a `&[(&str, &str)]` of behaviours that the backend lacks, with the reasons. A
/// test fails if the backend has a behaviour that is listed there. The crate needs tokio with `macros` and
/// `rt-multi-thread`.
#[macro_export]
macro_rules! store_suite {
    ($prepare:path, $known_differences:expr) => {
        $crate::store_suite! { @tests $prepare, $known_differences;
            documents {
                a_created_document_is_read_back
                an_update_replaces_its_base
                creating_over_a_document_is_a_conflict
                a_stale_base_is_a_conflict
                a_base_without_a_document_is_a_conflict
                id_and_revision_in_the_body_are_ignored
                other_members_with_an_underscore_are_refused
                a_soft_delete_is_an_update
                deleted_and_missing_documents_give_different_errors
                creating_over_a_tombstone_continues_its_generation
                a_tombstone_cannot_be_a_base
                deleting_with_a_stale_revision_is_a_conflict
                a_revision_is_deleted_once
                deleting_a_missing_document_fails
                calls_after_their_deadline_fail
            }
            content {
                members_keep_their_order
                numbers_survive_by_value
                unicode_survives
                odd_keys_survive
                ids_may_have_odd_characters
                big_documents_survive
                too_big_documents_are_refused
            }
            many {
                fetch_many_keeps_the_order_of_the_ids
                empty_bulk_calls_succeed
                a_thousand_documents_are_saved_at_once_and_streamed_back
                a_conflict_does_not_stop_the_other_writes
            }
            metering {
                a_large_document_is_read_only_if_there_is_room
                a_large_row_is_read_only_if_there_is_room
                many_rows_are_read_only_as_far_as_there_is_room
            }
            views {
                a_view_shows_rows_by_key_then_id
                include_docs_adds_documents_to_rows
                a_map_emits_any_number_of_rows
                a_view_shows_updates_and_deletes_at_once
                a_map_that_throws_drops_only_that_documents_rows
                undefined_is_emitted_as_null
                maps_have_couchdbs_helpers
                missing_views_and_databases_give_different_errors
                all_docs_lists_every_document
            }
            ranges {
                keys_of_every_type_sort_as_in_couchdb
                a_key_finds_exactly_its_rows
                start_and_end_keys_bound_a_range
                a_range_selects_arrays_by_prefix
                limit_and_skip_count_rows
                rows_of_one_key_are_ordered_by_document
                start_key_doc_id_bounds_the_first_key
                end_key_doc_id_bounds_the_last_key
                pages_follow_each_other_without_gap_or_overlap
                a_reversed_range_is_invalid
                all_docs_takes_key_ranges
            }
            design_documents {
                ensure_design_creates_a_missing_design_document
                a_map_that_is_no_text_is_invalid
                ensure_design_keeps_existing_views
                ensure_design_adds_the_missing_views
                ensure_design_survives_lost_races
                ensure_design_reads_again_what_a_foreign_writer_changed
                ensure_design_refuses_a_document_in_another_language
                maps_do_not_run_on_design_documents
                a_view_covers_documents_written_before_it
                changing_a_design_document_rebuilds_its_views
                deleting_a_design_document_removes_its_views
                a_map_that_does_not_compile_is_invalid
            }
            changes {
                a_feed_lists_every_document_once
                a_feed_resumes_after_a_sequence
                a_limit_ends_the_feed
                include_docs_adds_documents_to_changes
                a_feed_from_now_skips_earlier_changes
                a_feed_from_the_newest_sequence_returns_later_writes
                a_longpoll_with_changes_answers_at_once
                a_longpoll_wakes_on_a_write
                a_continuous_feed_sees_live_writes
                a_feed_of_a_missing_database_fails
                deleting_a_database_ends_its_feeds
            }
            local {
                local_documents_are_listed_by_prefix
                a_local_document_is_written_over
                deleting_a_local_document_needs_no_revision
                a_local_document_is_read_by_name
                a_local_document_is_deleted_on_a_condition
                local_documents_are_in_no_listing_and_no_feed
                local_documents_end_with_their_database
                members_of_local_documents_do_not_begin_with_an_underscore
                local_documents_of_a_missing_database_fail
            }
            attachments {
                inline_attachments_are_stored_and_listed_as_stubs
                stubs_keep_attachments_on_an_update
                an_update_removes_attachments_without_a_stub
                attachments_are_replaced
                fetching_a_missing_attachment_fails
                a_stub_without_an_attachment_is_refused
            }
            databases {
                creating_a_database_twice_succeeds
                database_names_may_have_slashes
                databases_are_listed_and_sorted
                deleting_a_database_deletes_its_documents
                only_create_db_creates_a_database
            }
            races {
                exactly_one_of_racing_updates_wins
                exactly_one_of_racing_creates_wins
                concurrent_creates_all_succeed
                a_view_shows_every_acknowledged_write
            }
            staleness {
                every_read_shows_the_own_writes_before_it
                no_reader_goes_back_in_time
                writes_of_another_program_are_seen_soon
                two_programs_agree_in_the_end
                a_database_made_anew_by_another_program_is_seen_soon
                a_view_changed_by_another_program_is_seen_soon
                an_epoch_ends_with_every_change
            }
        }
    };
    (@tests $prepare:path, $known_differences:expr; $($area:ident { $($name:ident)* })*) => {
        $($(
            #[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                $crate::suite::run(
                    stringify!($name),
                    $prepare(),
                    $known_differences,
                    $crate::suite::$area::$name,
                )
                .await;
            }
        )*)*
    };
}

#[cfg(test)]
mod tests {
    /// A behaviour that is missing from the macro would never be tested.
    #[test]
    fn every_behaviour_is_in_the_macro() {
        let list = include_str!("suite.rs");
        for source in [
            include_str!("suite/attachments.rs"),
            include_str!("suite/changes.rs"),
            include_str!("suite/content.rs"),
            include_str!("suite/databases.rs"),
            include_str!("suite/design_documents.rs"),
            include_str!("suite/documents.rs"),
            include_str!("suite/local.rs"),
            include_str!("suite/many.rs"),
            include_str!("suite/races.rs"),
            include_str!("suite/ranges.rs"),
            include_str!("suite/staleness.rs"),
            include_str!("suite/views.rs"),
        ] {
            for line in source.lines() {
                let Some(rest) = line.strip_prefix("pub async fn ") else { continue };
                let name = rest.split('(').next().unwrap();
                assert!(list.lines().any(|line| line.trim() == name), "{name} is not in the macro");
            }
        }
    }
}
