-- What lets the search give the best first without looking at all it finds, and forgive typing errors.

-- How the name is said, in one word: lina. Empty where it is said as it is written.
ALTER TABLE employee_search ADD COLUMN sound text NOT NULL DEFAULT '';
-- Which form of the entry this is; older ones are written anew when there is time.
ALTER TABLE employee_search ADD COLUMN form integer NOT NULL DEFAULT 0;

-- An index takes no longer ones.
UPDATE employee_search SET name = substr(name, 1, 255), family_first = substr(family_first, 1, 255), email = substr(email, 1, 255), number = substr(number, 1, 255);

CREATE INDEX employee_search_number_idx ON employee_search (tenant_id, number);
CREATE INDEX employee_search_email_idx ON employee_search (tenant_id, email);
CREATE INDEX employee_search_name_idx ON employee_search (tenant_id, name, employee_id);
CREATE INDEX employee_search_family_first_idx ON employee_search (tenant_id, family_first, employee_id);
CREATE INDEX employee_search_sound_idx ON employee_search (tenant_id, sound, employee_id);
CREATE INDEX employee_search_form_idx ON employee_search (tenant_id, form);

-- The words of names, each by what is left of it when letters are missing: two words that share a variant are nearly the same. Which
-- employee a word is of is not kept. Two writes at the same time may both add a word; that harms nothing, and waiting would.
CREATE TABLE search_words (
    tenant_id integer NOT NULL,
    variant text NOT NULL,
    word text NOT NULL,
    id text NOT NULL,
    CONSTRAINT search_words_pkey PRIMARY KEY (tenant_id, variant, word, id)
) STRICT, WITHOUT ROWID;
