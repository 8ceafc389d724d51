-- A page of a department's people in the order of their names is read from the index alone that finds them.
DROP INDEX employees_department_id_idx;
CREATE INDEX employees_department_id_idx ON employees (tenant_id, department_id, name_sort, id);
