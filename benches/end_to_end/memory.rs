//! However large an export, a run takes the same memory.

use crate::Arguments;
use crate::desk::Desk;
use crate::ground::Kind;
use crate::table::{Table, mebibytes};

/// Bytes of plaintext that a message of the input takes, about.
const MESSAGE: u64 = 560;

pub(crate) fn measure(arguments: &Arguments) -> Table {
    let desk = Desk::new(arguments);
    let mut table =
        Table::new("Peak memory of `ingest --dry-run`", &["messages", "plaintext", "peak", "of the smallest", "time"]);
    let mut first = None;
    for messages in [arguments.messages / 10, arguments.messages * 10, arguments.messages * 40] {
        desk.deliver(0..messages, 0);
        let ground = Kind::Memory.lay();
        let measured = desk.run(&desk.configure(&ground.path()), &["ingest", "--dry-run", "--json"]);
        assert_eq!(measured.report["items"]["staged"], messages, "{:#}", measured.report);
        let first = *first.get_or_insert(measured.peak);
        #[expect(clippy::cast_precision_loss, reason = "a ratio for a person")]
        let ratio = measured.peak as f64 / first as f64;
        table.row(&[
            &messages.to_string(),
            &format!("{} MB", messages * MESSAGE / 1_000_000),
            &mebibytes(measured.peak),
            &format!("{ratio:.2}"),
            &format!("{:.1} s", f64::from(u32::try_from(measured.milliseconds).unwrap()) / 1000.0),
        ]);
    }
    table
}
