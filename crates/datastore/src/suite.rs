//! The behaviours that every backend must show, each a function that takes a fresh [`Subject`] and
//! panics where the backend shows another. [`store_suite!`](crate::store_suite) makes a test of each.
//! Nothing here is particular to a backend, and nothing is asked that CouchDB 3 does not do.

// This is test code that happens to be exported: a panic is how it reports.
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
pub mod many;
pub mod races;
pub mod ranges;
mod subject;
pub mod views;

pub use subject::{Row, Subject};

/// No behaviour takes longer than this, or it hangs.
const BEHAVIOUR_TIMEOUT: Duration = Duration::from_secs(180);

/// Runs one behaviour against a fresh subject, and removes the subject's databases afterwards.
///
/// # Panics
/// Where the backend does not show the behaviour, unless `known_differences` names it; and where it
/// shows one that is named there.
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
        (Ok(Ok(())), Some((_, reason))) => {
            panic!("{name} is shown by now: the known difference ({reason}) has gone, remove its row")
        }
        (Ok(Err(_)), None) => panic!("{name} did not come to an end within {BEHAVIOUR_TIMEOUT:?}"),
        (Err(failure), None) => std::panic::resume_unwind(failure.into_panic()),
        (Ok(Err(_)) | Err(_), Some((_, reason))) => {
            println!("a known difference: {name}: {reason}");
        }
    }
}

/// Makes one test of each behaviour that a backend must show.
///
/// `$prepare` is an `async fn() -> Subject` that hands out a store and the name of a database that does
/// not exist yet and that nobody else uses. `$known_differences` is a `&[(&str, &str)]` of behaviours
/// that the backend cannot show, with the reason; one that it shows after all fails, so that the table
/// never says too much. The crate needs tokio with `macros` and `rt-multi-thread`.
#[macro_export]
macro_rules! store_suite {
    ($prepare:path, $known_differences:expr) => {
        $crate::store_suite! { @tests $prepare, $known_differences;
            documents {
                a_created_document_is_read_back
                an_update_goes_on_from_its_base
                creating_over_a_document_is_a_conflict
                a_stale_base_is_a_conflict
                a_base_without_a_document_is_a_conflict
                id_and_revision_in_the_body_are_ignored
                other_members_with_an_underscore_are_refused
                a_soft_delete_is_an_update
                a_deleted_document_is_not_a_missing_one
                creating_over_a_tombstone_goes_on_with_its_generation
                a_tombstone_is_no_base
                deleting_with_a_stale_revision_is_a_conflict
                deleting_what_is_not_there_says_so
                a_deadline_that_has_passed_is_told
            }
            content {
                members_keep_their_order
                numbers_survive_by_value
                unicode_survives
                odd_keys_survive
                ids_with_odd_characters_are_ids
                big_documents_survive
                too_big_documents_are_refused
            }
            many {
                several_documents_come_in_the_order_asked_for
                no_documents_are_no_trouble
                a_thousand_documents_are_saved_at_once_and_streamed_back
                a_conflict_of_one_leaves_the_others_written
            }
            views {
                a_view_shows_rows_by_key_then_id
                rows_carry_documents_where_asked
                a_document_emits_as_often_as_it_likes
                updates_and_deletes_show_at_once
                a_map_that_throws_drops_that_documents_rows_alone
                what_is_undefined_is_emitted_as_null
                maps_have_couchdbs_helpers
                a_missing_view_is_not_a_missing_database
                all_documents_are_a_view_too
            }
            ranges {
                keys_of_every_type_sort_as_in_couchdb
                a_key_finds_exactly_its_rows
                a_range_has_two_ends
                a_prefix_of_an_array_is_a_range
                limit_and_skip_count_rows
                rows_of_one_key_are_ordered_by_document
                the_first_row_of_a_key_is_chosen_by_document
                the_last_row_of_a_key_is_chosen_by_document
                pages_follow_each_other_without_gap_or_overlap
                a_range_that_runs_backwards_is_invalid
                all_documents_have_ranges
            }
            design_documents {
                ensure_design_creates_what_is_missing
                ensure_design_leaves_an_existing_one_alone
                design_documents_are_documents_but_emit_nothing
                a_view_covers_documents_written_before_it
                changing_a_design_document_rebuilds_its_views
                a_deleted_design_document_takes_its_views_along
                a_map_that_does_not_compile_is_invalid
            }
            changes {
                every_document_changes_once
                a_feed_resumes_where_it_was
                a_limit_cuts_the_feed
                changes_carry_documents_where_asked
                now_is_after_everything
                a_longpoll_answers_at_once_where_there_is_something
                a_longpoll_wakes_on_a_write
                a_continuous_feed_sees_live_writes
                a_feed_of_a_missing_database_says_so
                a_feed_ends_with_its_database
            }
            attachments {
                inline_attachments_are_stored_and_listed_as_stubs
                stubs_keep_attachments_on_an_update
                attachments_not_named_any_more_are_gone
                attachments_are_replaced
                missing_attachments_say_so
                a_stub_of_nothing_is_refused
            }
            databases {
                a_database_is_created_once
                database_names_with_slashes_are_names
                databases_are_listed_and_sorted
                a_deleted_database_is_gone_with_all_that_is_in_it
                nothing_creates_a_database_by_the_way
            }
            races {
                of_racing_writers_exactly_one_wins
                of_racing_creators_exactly_one_wins
                concurrent_creates_all_land
                a_view_shows_every_acknowledged_write
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
    /// A behaviour that no test is made of would be forgotten silently.
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
            include_str!("suite/many.rs"),
            include_str!("suite/races.rs"),
            include_str!("suite/ranges.rs"),
            include_str!("suite/views.rs"),
        ] {
            for line in source.lines() {
                let Some(rest) = line.strip_prefix("pub async fn ") else { continue };
                let name = rest.split('(').next().unwrap();
                assert!(list.lines().any(|line| line.trim() == name), "{name} is in no list");
            }
        }
    }
}
