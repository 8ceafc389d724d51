-- A slip of a correction run names the slip that it stands for instead. That it is there is checked where slips are written.
ALTER TABLE payslips ADD COLUMN replaces_id text;
CREATE INDEX payslips_replaces_id_idx ON payslips (tenant_id, replaces_id);
