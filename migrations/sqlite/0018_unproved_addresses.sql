-- Addresses that count as confirmed because the tenant asks nobody for proof. Of users who are there already nobody knows; they count as proved.

ALTER TABLE users ADD COLUMN email_is_unproved integer NOT NULL DEFAULT 0;
