//! How much one caller may ask for. Hitting a limit is an error to whoever
//! caused it, never somebody else's loss.

use std::time::Duration;

/// Names of one server, those provided on demand included.
pub const NAMES: usize = 16 * 1024;

/// Names one task may hold: a quarter of all.
pub const NAMES_PER_TASK: usize = NAMES / 4;

/// Look-ups that wait for one name to check in.
pub const WAITS_PER_NAME: usize = 1024;

/// Look-ups of one task that wait: a quarter of what one name holds.
pub const WAITS_PER_TASK: usize = WAITS_PER_NAME / 4;

/// Names in one page of a list. Each may come with a right.
pub const PAGE_NAMES: usize = 256;

/// The longest body that is read as a request at all.
pub const REQUEST_BYTES: usize = 64 * 1024;

/// Requests that wait to be read.
pub const REQUESTS_WAITING: u32 = 1024;

/// Answers that wait for the owner of a right in them.
pub const ANSWERS_WAITING: usize = 256;

/// How long an answer waits for the owner of a right in it.
pub const ANSWER_PATIENCE: Duration = Duration::from_secs(1);

/// The pause after the second failed start in a row; it doubles from there.
pub const BACK_OFF: Duration = Duration::from_millis(100);

/// The longest pause after failed starts.
pub const BACK_OFF_MOST: Duration = Duration::from_secs(30);

/// Services declared in files.
pub const SERVICES: usize = 1024;

/// The longest service file.
pub const SERVICE_FILE_BYTES: usize = 256 * 1024;

/// Messages that wait in a queue that is kept, where its file does not say how many.
pub const QUEUE_MESSAGES: u32 = 128;

/// The most that a file may say.
pub const QUEUE_MESSAGES_MOST: u32 = 64 * 1024;

/// What is done for one queue before others have their turn: a message each.
pub const QUEUE_TURNS: u32 = 64;

/// Names of one service.
pub const NAMES_PER_SERVICE: usize = 64;

/// Rules of one service about who may look its names up; and as many about who may check
/// in.
pub const RULES_PER_SERVICE: usize = 64;

/// What one service may be entitled to.
pub const ENTITLEMENTS_PER_SERVICE: usize = 64;

/// Grants that are kept for who asks what was granted; and as many refusals.
pub const AUDIT_ENTRIES: usize = 1024;

/// Entries in one page of them.
pub const PAGE_ENTRIES: usize = 64;

/// Those who wait for the next of them.
pub const AUDIT_WAITING: usize = 64;

/// Those who watch names.
pub const WATCHES: usize = 4096;

/// Names that one task watches at a time.
pub const WATCHES_PER_TASK: usize = WATCHES / 16;

/// Restricted bootstrap rights that others have made.
pub const SUBSETS: usize = 4096;

/// Those that one task has made and somebody holds.
pub const SUBSETS_PER_TASK: usize = SUBSETS / 16;

/// Names that one of them lists.
pub const NAMES_PER_SUBSET: usize = 64;

/// Requests that wait on one of them to be read.
pub const SUBSET_REQUESTS: u32 = 64;

/// Services in one page of a report.
pub const PAGE_SERVICES: usize = 64;

/// Tasks that may be looked at.
pub const SEEN: usize = NAMES;

/// Tasks in one page of those. Each comes with a right.
pub const PAGE_SEEN: usize = 64;

/// Orders that wait until their service has started or ended.
pub const ORDERS_WAITING: usize = 256;

/// What a service says that is kept, where its file does not say how much.
pub const LOG_BYTES: usize = 64 * 1024;

/// The most that a file may say.
pub const LOG_BYTES_MOST: usize = 16 * 1024 * 1024;

/// How long services may take, where a server is replaced, to finish what they were handed
/// of queues. What is not finished then is handed out again, and says so.
pub const REST: Duration = Duration::from_secs(2);

/// How long it is tried to hand a server's place on, where somebody has not followed its
/// port; requests are answered between two attempts. How long a successor may take for all
/// that it is sent in one of them. And how long the first server stays for its word.
pub const HAND_OVER: Duration = Duration::from_secs(10);

/// The pause before the second attempt; it doubles.
pub const HAND_OVER_PAUSE: Duration = Duration::from_millis(100);

/// How long a successor may take in nothing of what it is sent, while nobody is served.
pub const HAND_OVER_STALL: Duration = Duration::from_secs(3);

/// How long one attempt waits for those who have not followed, and for owners that have
/// not confirmed a right to theirs, while nobody is served.
pub const HAND_OVER_SLICE: Duration = Duration::from_millis(250);

/// What services have said that goes with them to the next server: the last of it.
pub const LOG_BYTES_CARRIED: usize = 16 * 1024;
