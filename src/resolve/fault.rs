//! What is wrong in an operator's file, where, and what to do about it.

use std::fmt;

use crate::mailbox::MailboxError;

/// What is wrong in a file, and where. It never quotes a cell.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct RowError {
    /// The file's name, without its folder.
    pub file: String,
    /// The physical line, from 1, on which the row begins, or the quote that is at fault.
    pub line: u64,
    /// The column, where one is at fault.
    pub column: Option<Column>,
    /// What is wrong, and what to do.
    #[source]
    pub fault: Fault,
}

impl fmt::Display for RowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)?;
        self.column.map_or(Ok(()), |column| write!(f, ": {column}"))
    }
}

/// A column that a row error or a reader names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// From 1.
    pub number: usize,
    /// Its heading.
    pub name: &'static str,
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "column {} ({})", self.number, self.name)
    }
}

/// What is wrong with a row or a file, in an operator's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Nothing but white space.
    #[error("the file is empty; it needs a header row")]
    Empty,
    /// Most often Windows-1252.
    #[error("the text is not UTF-8; save it as \"CSV UTF-8\"")]
    NotUtf8,
    /// An odd byte or half a surrogate pair.
    #[error("the text is not UTF-16 to its end; save it again as \"CSV UTF-8\"")]
    NotUtf16,
    /// The first row is no header, or not ours.
    #[error("no column {0}; the first row must be a header row that names it")]
    NoColumn(&'static str),
    /// Which of the two counts?
    #[error("the header row names this column twice; remove one")]
    ColumnTwice,
    /// A quote swallows the rest of the file.
    #[error("a quote opens here and never closes; the file seems to be cut")]
    UnclosedQuote,
    /// The quotes are out of step: rows may have been swallowed.
    #[error("text follows a closing quote; write a quote inside a quoted cell twice")]
    AfterQuote,
    /// It would count as text, and a delimiter after it as one.
    #[error("white space stands before an opening quote; remove it")]
    LateQuote,
    /// The last row.
    #[error("the last row ends before its last column, without a line end; the file seems to be cut")]
    CutOff,
    /// Nothing in it.
    #[error("the cell is empty; fill it in or remove the row")]
    MissingCell,
    /// No mailbox.
    #[error(transparent)]
    Address(#[from] MailboxError),
    /// A line break or the like.
    #[error("the cell holds a control character; remove it")]
    ControlCharacter,
    /// One `ImId` has two mailboxes.
    #[error("this ImId has another mailbox in {file}:{line}; remove one of the two rows")]
    OtherMailbox {
        /// The other row's file.
        file: String,
        /// The other row's line.
        line: u64,
    },
    /// One `ImId` has two mailboxes on one day.
    #[error(
        "this ImId has another mailbox in {file}:{line} for some of the same days; end one period (ValidTo) before the \
         other begins (ValidFrom): both days are included"
    )]
    Overlap {
        /// The other row's file.
        file: String,
        /// The other row's line.
        line: u64,
    },
    /// No date, or one that can be read in two ways.
    #[error(
        "malformed date: write it as YYYY-MM-DD, for example 2026-11-19; in Excel format the column as Text first, or it \
         turns the date into its own form"
    )]
    Date,
    /// Not one day.
    #[error("ValidTo is before ValidFrom, so the row would never count; correct one of the two dates")]
    Reversed,
    /// Two mailboxes claim one address.
    #[error("an address of this row belongs to another mailbox in line {line}; remove it from one of the two rows")]
    OtherPrimary {
        /// The other row's line.
        line: u64,
    },
    /// `Export-Csv` wrote a collection's type.
    #[error(
        "the cell holds a type's name instead of addresses; write the list with: Get-EXOMailbox -ResultSize Unlimited | \
         Select-Object DisplayName,PrimarySmtpAddress,UserPrincipalName,@{{n='EmailAddresses';\
         e={{$_.EmailAddresses -join ' '}}}} | Export-Csv mailboxes.csv -NoTypeInformation -Encoding utf8"
    )]
    Collection,
    /// More often a mistake than a fact.
    #[error("the list names no mailbox; with it nobody would be a valid user")]
    NoMailbox,
    /// What the CSV library says that we did not foresee.
    #[error("the row cannot be read as CSV")]
    NotCsv,
}
